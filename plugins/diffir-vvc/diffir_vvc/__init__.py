"""H.266/VVC for diffir."""
