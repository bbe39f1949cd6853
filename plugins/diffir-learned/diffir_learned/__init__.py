"""Learned codecs for diffir."""
