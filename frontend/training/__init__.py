"""Training: data in batches, losses and metrics as compiled, steps, and the loop around them."""

from .batch import Batch

__all__ = ["Batch"]
