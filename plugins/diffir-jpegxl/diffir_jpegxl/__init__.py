"""JPEG XL for diffir."""
