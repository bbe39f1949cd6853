"""Codecs as degradations, chains of them, mixtures."""
