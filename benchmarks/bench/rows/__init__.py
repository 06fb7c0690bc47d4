"""What is measured: each module finds the readings of a few goals."""
