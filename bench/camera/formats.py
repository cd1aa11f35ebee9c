"""What it costs to turn a picture of each pixel format into 8-bit gray, on one thread.

python -m bench.camera.formats [--frames 500] [--name camera_formats]
"""

from __future__ import annotations

import json

import cv2
import numpy as np

from bench.result import RESULTS, microseconds, parser_of, write
from rtface.acquire.genicam.formats import FORMATS, GrayReader

SIZES = ((640, 480), (1920, 1080))
MEASURED = (
    *("Mono8", "Mono10", "Mono12", "Mono16", "Mono10p", "Mono12p", "Mono12Packed"),
    *("BayerRG8", "BayerRG12", "BayerRG12p", "RGB8"),
)
PICTURES, WARM_UP = 16, 20


def measure(name: str, width: int, height: int, frames: int) -> dict[str, float]:
    """Return percentiles of the microseconds of a frame; pictures take turns, so that none is in the cache by habit."""
    pixels, random = FORMATS[name], np.random.default_rng(0)
    size = pixels.stored_bytes(width, height, 0)
    pictures = random.integers(0, 256, (PICTURES, size), np.uint8)
    reader, out = GrayReader(pixels, width, height, pixels.bits), np.empty((height, width), np.uint8)
    order = (pictures[number % PICTURES] for number in range(WARM_UP + frames))
    return microseconds(lambda picture: reader.read(picture, 0, out), order, WARM_UP)


def main() -> None:
    """Measure and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--name", default="camera_formats")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    by_size = {
        f"{width}x{height}": {name: measure(name, width, height, asked.frames) for name in MEASURED}
        for width, height in SIZES
    }
    write(RESULTS / f"{asked.name}.json", {"by_size": by_size})
    print(json.dumps(by_size, indent=2))


if __name__ == "__main__":
    main()
