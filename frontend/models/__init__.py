"""Sequential and functional models: building, training, saving."""
