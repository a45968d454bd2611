"""From a graph to a plan: the order of its groups, their kernels, rows and memory."""
