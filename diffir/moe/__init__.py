"""The parts of MoE-DiffIR: pyramid, prompts, router, adapter, compensator."""
