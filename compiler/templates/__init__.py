"""Kernel templates of the heavy ops, with prologue and epilogue expressions."""
