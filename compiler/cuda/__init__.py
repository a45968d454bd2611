"""Kernels for NVIDIA GPUs: blocks of threads, texts for the vocabulary of runtime/cuda."""
