"""The plugin door: hooks, components, lookup by name."""
