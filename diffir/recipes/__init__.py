"""A model size is a TOML file."""
