"""The CPU device: machine code, vectors, the program's interpreter and its threads."""
