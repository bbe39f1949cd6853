"""Distances that follow the eye, LPIPS and DISTS, as differentiable torch modules."""
