"""What kernels are made of, whatever they run on: functions, types, the front end, objects."""
