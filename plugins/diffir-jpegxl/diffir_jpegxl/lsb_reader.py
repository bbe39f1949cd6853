"""Reads the number types of JPEG XL headers: ISO/IEC 18181-1, clause B.2."""

from __future__ import annotations

from diffir.errors import CodecError


class LsbReader:
    """A cursor over bytes, in bits, least significant bit first."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "little")
        self._length = 8 * len(data)
        self.position = 0

    def bits(self, count: int) -> int:
        """Read u(n)."""
        if self.position + count > self._length:
            raise CodecError("the JPEG XL headers are cut short")
        value = (self._number >> self.position) & ((1 << count) - 1)
        self.position += count
        return value

    def flag(self) -> bool:
        """Read Bool()."""
        return bool(self.bits(1))

    def u32(self, *choices: tuple[int, int]) -> int:
        """Read U32(d0, d1, d2, d3): two bits choose among pairs of an offset and a width."""
        offset, width = choices[self.bits(2)]
        return offset + self.bits(width)

    def u64(self) -> int:
        """Read U64()."""
        kind = self.bits(2)
        if kind < 3:
            return (0, 1, 17)[kind] + self.bits((0, 4, 8)[kind])
        value, shift = self.bits(12), 12
        while self.flag():
            if shift == 60:
                return value | self.bits(4) << shift
            value |= self.bits(8) << shift
            shift += 8
        return value

    def align(self) -> None:
        """Go to the next byte border, if not at one."""
        self.position = -(-self.position // 8) * 8
