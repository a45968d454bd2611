"""What multiplies on CPUs."""
