"""Callbacks: what is told of each epoch and batch of training, under Keras's names."""

from .base import Callback
from .callback_list import CallbackList
from .history import History
from .progbar_logger import ProgbarLogger

__all__ = ["Callback", "CallbackList", "History", "ProgbarLogger"]
