"""Compression formats: bytes to pixels and back, bytes to CodecInfo; one file a codec."""
