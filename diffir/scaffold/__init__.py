"""Makes plugins: an installable package or a single file, from a few answers and templates."""
