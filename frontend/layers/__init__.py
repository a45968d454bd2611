"""The layers, one small file a family."""
