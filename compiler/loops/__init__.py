"""The loop dialect: what a kernel computes, for no machine in particular."""
