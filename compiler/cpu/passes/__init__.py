"""Passes that make a graph fit CPUs."""
