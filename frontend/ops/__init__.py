"""The functions over tensors that users call, as in keras.ops."""
