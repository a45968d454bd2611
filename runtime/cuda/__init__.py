"""Programs on NVIDIA GPUs, and on an emulator of one: its vocabulary, compilers and devices."""
