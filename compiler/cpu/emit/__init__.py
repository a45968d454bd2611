"""Kernels as the text of Python modules for Numba."""
