"""What happens to a model: IR, ops, autodiff, passes, scheduling, memory plan, code generation."""
