"""Training: live pairs, losses, stages, loop."""
