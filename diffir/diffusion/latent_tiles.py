"""A picture too large for one pass, in tiles that are blended at every step of sampling.

    whole picture -> encoder in tiles -> router, conditioner: whole, once
                  -> at each timestep: denoiser in tiles, predictions blended -> next latent
                  -> decoder in tiles

Tiles of pixels that are restored one by one agree where they overlap only by blending afterwards.
Here all tiles share one latent, so they cannot drift apart while it is sampled (Bar-Tal et al.,
MultiDiffusion, 2023). Prompts are routed over the whole picture and cut with the tiles.

Tiles are equally large and lie on a grid of `unit` latent positions, so that every level of the
U-Net is cut at whole positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from diffir.contracts.interfaces import Decoded, Encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from diffir.contracts.interfaces import Decoder, Routing
    from diffir.diffusion.backbone import Denoiser, Encoder


@dataclass(frozen=True)
class Grid:
    """How a latent of `height` x `width` positions is cut.

    size: side of a tile; overlap: of neighbors, at least; unit: what starts and sizes are multiples
    of, as are `height` and `width`. All in latent positions.

    Raises:
        ValueError: tiles that are no larger than their overlap, or off the unit.
    """

    height: int
    width: int
    size: int
    overlap: int
    unit: int = 1

    def __post_init__(self) -> None:
        if self.size % self.unit or self.size <= self.overlap:
            raise ValueError(
                f"tiles must be a multiple of {self.unit} above their overlap of {self.overlap} "
                f"latent positions, got {self.size}"
            )

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """Rows and columns of each tile, row by row."""
        for rows in self._axis(self.height):
            for columns in self._axis(self.width):
                yield rows, columns

    def _axis(self, length: int) -> list[slice]:
        if length <= self.size:
            return [slice(0, length)]
        count = math.ceil((length - self.overlap) / (self.size - self.overlap))
        room = (length - self.size) / self.unit
        starts = [self.unit * round(index * room / (count - 1)) for index in range(count)]
        return [slice(start, start + self.size) for start in starts]


def run_in_tiles(
    function: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor], grid: Grid
) -> list[Tensor]:
    """Call `function` on each tile of the inputs, and blend what it returns.

    Args:
        function: takes tiles of the inputs, returns tensors `(B,C,h,w)` of any scale.
        inputs: maps `(B,C,H,W)` of the whole, each finer or coarser than the latent by a whole
            factor: images, features, prompt maps.
        grid: of the latent.
    """
    totals: list[Tensor] = []
    weights: list[Tensor] = []
    for rows, columns in grid:
        tiles = [x[..., _scaled(rows, x, grid), _scaled(columns, x, grid)] for x in inputs]
        for index, found in enumerate(function(*tiles)):
            scale = found.shape[-2] / (rows.stop - rows.start)
            if index == len(totals):
                shape = round(grid.height * scale), round(grid.width * scale)
                totals.append(found.new_zeros((*found.shape[:2], *shape)))
                weights.append(found.new_zeros(shape))
            place = tuple(
                slice(round(axis.start * scale), round(axis.stop * scale))
                for axis in (rows, columns)
            )
            down = _ramp(rows, grid.height, grid.overlap, scale)
            across = _ramp(columns, grid.width, grid.overlap, scale)
            weight = (down[:, None] * across[None]).to(found)
            totals[index][:, :, place[0], place[1]] += weight * found
            weights[index][place[0], place[1]] += weight
    return [total / weight for total, weight in zip(totals, weights, strict=True)]


def _scaled(axis: slice, x: Tensor, grid: Grid) -> slice:
    """An axis of the latent on the grid of `x`."""
    scale = x.shape[-2] / grid.height
    return slice(round(axis.start * scale), round(axis.stop * scale))


def _ramp(axis: slice, length: int, overlap: int, scale: float) -> Tensor:
    """Weights along a tile: 1, and falling to 0 at ends where there is a neighbor."""
    positions = torch.arange(round((axis.stop - axis.start) * scale)) + 0.5
    fade = max(overlap * scale, 1.0)
    rising = (positions / fade).clamp(max=1.0)
    falling = rising.flip(0)
    ones = torch.ones_like(positions)
    return (rising if axis.start > 0 else ones) * (falling if axis.stop < length else ones)


def _grid(latent: Tensor, cut: tuple[int, int, int]) -> Grid:
    return Grid(latent.shape[-2], latent.shape[-1], *cut)


class TiledEncoder:
    """An encoder that sees a tile at a time; `size`, `overlap` and `unit` as in `Grid`."""

    def __init__(self, inner: Encoder, *, size: int, overlap: int, unit: int) -> None:
        self.inner, self.cut = inner, (size, overlap, unit)

    def encode(self, image: Tensor) -> Encoded:
        """As `diffir.diffusion.backbone.Encoder.encode`."""

        def encode(tile: Tensor) -> list[Tensor]:
            encoded = self.inner.encode(tile)
            return [encoded.latent, *encoded.features]

        height, width = (side // self.inner.grid for side in image.shape[-2:])
        latent, *features = run_in_tiles(encode, [image], Grid(height, width, *self.cut))
        return Encoded(image, latent, tuple(features))


class TiledDenoiser:
    """A denoiser that sees a tile at a time; predictions are blended, so that all tiles agree."""

    def __init__(self, inner: Denoiser, *, size: int, overlap: int, unit: int) -> None:
        self.inner, self.cut = inner, (size, overlap, unit)

    def prepare(self, prompts: Sequence[Tensor]) -> Sequence[Tensor]:
        """What prompts do is worked out over the whole picture, once, and cut with the tiles."""
        return self.inner.prepare(prompts)

    def __call__(
        self, latent: Tensor, timesteps: Tensor, prompts: Sequence[Tensor], context: Tensor
    ) -> Tensor:
        """As `diffir.diffusion.backbone.Denoiser.__call__`."""
        prepared = self.prepare(prompts)
        kind = type(prepared)

        def denoise(tile: Tensor, *maps: Tensor) -> list[Tensor]:
            return [self.inner(tile, timesteps, kind(maps), context)]  # type: ignore[call-arg]

        grid = _grid(latent, self.cut)
        return run_in_tiles(denoise, [latent, *prepared], grid)[0]


class TiledDecoder:
    """A decoder that sees a tile at a time."""

    def __init__(self, inner: Decoder, *, size: int, overlap: int, unit: int) -> None:
        self.inner, self.cut = inner, (size, overlap, unit)

    def decode(self, latent: Tensor, encoded: Encoded, routing: Routing) -> Decoded:
        """As `diffir.contracts.interfaces.Decoder.decode`."""

        def decode(tile: Tensor, image: Tensor, degraded: Tensor, *maps: Tensor) -> list[Tensor]:
            decoded = self.inner.decode(tile, Encoded(image, degraded, maps), routing)
            if decoded.rich is decoded.faithful:
                return [decoded.faithful]
            return [decoded.faithful, decoded.rich]

        inputs = [latent, encoded.image, encoded.latent, *encoded.features]
        found = run_in_tiles(decode, inputs, _grid(latent, self.cut))
        return Decoded(found[0], found[-1])
