"""Code generation for CPUs: kernels of the dialect become Python text for Numba."""
