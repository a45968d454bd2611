"""Graph -> Graph rewrites, one a file."""
