"""Weights files of others: read without trust, renamed to diffusers' names, fetched and checked."""
