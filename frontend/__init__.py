"""What a user writes: layers, models, losses, optimizers, metrics, callbacks, datasets; tracing."""
