"""The latent diffusion prior in torch; it knows no codec and no expert."""
