"""What a plugin implements: value types and interfaces, importable without torch or numpy."""
