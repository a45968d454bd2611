"""Sequential and functional models: building, predicting."""

from ..layers.input import Input
from .model import Functional, Model
from .sequential import Sequential

__all__ = ["Functional", "Input", "Model", "Sequential"]
