"""Small data sets that come with the package; each module has a `load_data()`, as in Keras."""

from . import digits

__all__ = ["digits"]
