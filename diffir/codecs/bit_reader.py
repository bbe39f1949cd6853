"""Reads numbers of any width from a bitstream, most significant bit first.

Exp-Golomb codes ue(v) and se(v): ITU-T H.264 section 9.1. leb128 and su(n): AV1 section 4.10.
"""

from __future__ import annotations

from diffir.errors import CodecError


class BitReader:
    """A cursor over bytes, in bits. Reading past the end raises `CodecError`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    @property
    def remaining(self) -> int:
        """Bits that are left."""
        return len(self._data) * 8 - self.position

    def bits(self, count: int) -> int:
        """An unsigned number of `count` bits, u(n); 0 for a count of 0."""
        if count > self.remaining:
            raise CodecError(
                f"the bitstream ends early: {count} bits wanted, {self.remaining} left"
            )
        end = self.position + count
        first, last = self.position // 8, (end + 7) // 8
        window = int.from_bytes(self._data[first:last], "big")
        self.position = end
        return (window >> (last * 8 - end)) & ((1 << count) - 1)

    def flag(self) -> bool:
        """One bit, u(1)."""
        return bool(self.bits(1))

    def skip(self, count: int) -> None:
        """Pass over `count` bits."""
        self.bits(count)

    def ue(self) -> int:
        """Read an unsigned Exp-Golomb code."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:
                raise CodecError("an Exp-Golomb code is longer than 32 bits: not this bitstream")
        return (1 << zeros) - 1 + self.bits(zeros)

    def se(self) -> int:
        """Read a signed Exp-Golomb code."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def su(self, count: int) -> int:
        """Read a signed number of `count` bits, in two's complement."""
        value = self.bits(count)
        return value - (1 << count) if value >> (count - 1) else value

    def leb128(self) -> int:
        """Little-endian base 128, at most 8 bytes."""
        value = 0
        for index in range(8):
            byte = self.bits(8)
            value |= (byte & 0x7F) << (7 * index)
            if not byte & 0x80:
                return value
        raise CodecError("a leb128 number is longer than 8 bytes: not this bitstream")

    def align(self) -> None:
        """Go to the next byte border, if not at one."""
        self.position = -(-self.position // 8) * 8
