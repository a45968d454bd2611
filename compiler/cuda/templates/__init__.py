"""Builders of kernels for the heavy ops on GPUs."""
