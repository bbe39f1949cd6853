"""Published weights of MoE-DiffIR, and priors of others, into diffir's own files."""
