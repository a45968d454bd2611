"""What runs: programs, kernel loading and cache, devices, execution, profiling. Knows no graphs."""
