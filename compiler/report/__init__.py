"""What was made of a graph, as tables and files."""
