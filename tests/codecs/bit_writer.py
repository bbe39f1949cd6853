"""Writes headers bit by bit: the other side of `diffir.codecs.bit_reader`."""

from __future__ import annotations


class BitWriter:
    def __init__(self) -> None:
        self.text = ""

    def bits(self, count: int, value: int = 0) -> BitWriter:
        self.text += format(value, f"0{count}b") if count else ""
        return self

    def ue(self, *values: int) -> BitWriter:
        for value in values:
            code = format(value + 1, "b")
            self.text += "0" * (len(code) - 1) + code
        return self

    def se(self, *values: int) -> BitWriter:
        return self.ue(*(2 * value - 1 if value > 0 else -2 * value for value in values))

    def done(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")
