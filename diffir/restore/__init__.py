"""Picture to picture: tensors, tiles, fidelity, model assembly, checkpoints."""
