"""Texts of kernels for GPUs, body by body."""
