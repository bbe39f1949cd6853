"""The one door in and the one door out of picture files."""
