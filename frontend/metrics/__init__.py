"""Metrics under Keras's names, and finding them by name."""
