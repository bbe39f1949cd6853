"""The file of a learned codec: a head of 24 bytes, then the entropy coder's strings.

    offset  bytes  what
    0       4      b"DLRN"
    4       1      version, 1
    5       1      family
    6       1      level
    7       1      0
    8       4      first four bytes of the weights' SHA-256
    12      4      width, little-endian as all numbers here
    16      4      height
    20      4      CRC-32 of the file with zeros here
    24      4      length of the latent's string; that of the hyper-latent follows it

An entropy coder that is given damaged bytes never fails, it makes noise: hence the checksum.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from diffir.errors import CodecError

MAGIC = b"DLRN"
VERSION = 1
HEAD = struct.Struct("<4sBBBx4sIII")
MOST_SIDE = 65535
STRIDE = 64
"""Pixels of the picture to one of the hyper-latent, each way: the picture is padded to it."""


@dataclass(frozen=True)
class Stream:
    """What a file holds.

    weights: first four bytes of the digest of the weights that wrote it. width, height: in pixels.
    latent, hyper_latent: entropy-coded.
    """

    family: int
    level: int
    weights: bytes
    width: int
    height: int
    latent: bytes
    hyper_latent: bytes

    def pack(self) -> bytes:
        """The bytes of the file."""
        body = struct.pack("<I", len(self.latent)) + self.latent + self.hyper_latent
        facts = (self.family, self.level, self.weights, self.width, self.height)
        checksum = zlib.crc32(HEAD.pack(MAGIC, VERSION, *facts, 0) + body)
        return HEAD.pack(MAGIC, VERSION, *facts, checksum) + body


def unpack(data: bytes) -> Stream:
    """Read a file.

    Raises:
        CodecError: another format or version, cut short, or damaged.
    """
    if data[:4] != MAGIC:
        raise CodecError(f"a learned codec's stream was expected, these begin with {data[:4]!r}")
    if len(data) < HEAD.size + 4:
        raise CodecError(f"the stream is cut short: {len(data)} bytes, its head alone has 28")
    _, version, family, level, weights, width, height, checksum = HEAD.unpack_from(data)
    if version != VERSION:
        raise CodecError(
            f"the stream is of version {version}, {VERSION} was expected",
            hint="Update diffir-learned.",
        )
    body = data[HEAD.size :]
    # The head too: a width that damage made large would be decoded for hours.
    blank = HEAD.pack(MAGIC, version, family, level, weights, width, height, 0)
    if zlib.crc32(blank + body) != checksum:
        raise CodecError(
            "the stream's checksum is wrong: it is damaged or cut short",
            hint="Get the file again.",
        )
    (length,) = struct.unpack_from("<I", body)
    if length > len(body) - 4 or not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE):
        raise CodecError(f"the stream's head is damaged: {width}x{height}, {length} bytes")
    return Stream(family, level, weights, width, height, body[4 : 4 + length], body[4 + length :])
