"""Lists how the pictures of a folder were compressed, the hardest pressed first, without torch.

python examples/inspect_folder.py examples
"""

from __future__ import annotations

import sys
from pathlib import Path

from diffir.contracts.codec import CodecInfo
from diffir.errors import CodecError
from diffir.host.manager import default_host


def facts(path: Path) -> CodecInfo:
    """What the bytes say; no pixels are decoded."""
    data = path.read_bytes()
    codec = default_host().recognize(data)
    try:
        return codec.read_info(data) if codec else CodecInfo.unknown()
    except CodecError as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return CodecInfo.unknown()


def main(folder: str) -> None:
    """Print one line for each file that a codec recognizes."""
    found = {path: facts(path) for path in sorted(Path(folder).iterdir()) if path.is_file()}
    known = [(path, info) for path, info in found.items() if info.known]
    for path, info in sorted(known, key=lambda row: -(row[1].severity or 0)):
        print(
            f"{path.name}: {info.name}, quality {info.quality} ({info.sources.get('quality')}), "
            f"{info.subsampling}, {info.bits_per_pixel:.2f} bits per pixel"
        )


if __name__ == "__main__":
    main(sys.argv[1])
