"""Keraunos: a deep-learning graph compiler. `import keraunos as keras` and Keras code runs."""

__version__ = "0.1.0"
