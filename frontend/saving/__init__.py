"""Weights and the state of a training in files. `weights.py` and `state.py` are imported late."""
