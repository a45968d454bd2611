"""The CPU target: its passes, kernel templates, blocks of registers, memory layouts and texts."""
