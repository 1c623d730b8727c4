"""How many images are decoded in a second by one core: the lab's `read_image`, and the plain libraries beside it.

    pip install opencv-python-headless      # for the comparison only; without it that column says n/a
    python -m benchmarks.decoding DATA [--rounds 7]

DATA is the folder of the sample data, with `nih-cxr-sample/original_size` and `dicom-sample` in it. Every file is read
into memory first, so the disk plays no part. All libraries use one thread, in turn within each round; the figure is the
median over the rounds, by processor time, so that other work on the machine counts less. "pydicom" gives the stored
values only; the lab goes on through look-up table or window and inversion to 8 bits.
"""

import argparse
import io
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pydicom
from PIL import Image

from medpeft_core.datasets.images import UnreadableImageError, read_image_bytes

Decoder = Callable[[bytes], object]
MEASURE_S = 0.2
ROW = "{:<56} {:>10} {:>10} {:>10} {:>10}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="Folder of the sample data.")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    films = [path.read_bytes() for path in sorted((options.data / "nih-cxr-sample/original_size").glob("*.png"))]
    print(f"images a second of one core, median of {options.rounds} rounds; Pillow {Image.__version__}, "
          f"pydicom {pydicom.__version__}, OpenCV {name_opencv()}")  # fmt: skip
    print(ROW.format("files", "lab", "Pillow", "OpenCV", "pydicom"))
    decoders = {"lab": decode_lab, "Pillow": decode_pillow, "OpenCV": find_opencv()}
    print_row(f"{len(films)} chest films, PNG, 1024 px, 8 bits", films, decoders, options.rounds)
    for path in sorted((options.data / "dicom-sample").glob("*.dcm")):
        content = path.read_bytes()
        try:
            pixels = read_image_bytes(content, path.name).pixels
        except UnreadableImageError:
            continue
        syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.name
        short = syntax.partition(",")[0].partition(" (")[0].replace(" Image Compression", "")
        title = f"{path.name[-18:]}, {pixels.shape[1]} x {pixels.shape[0]}, {short}"
        print_row(title, [content], {"lab": decode_lab, "pydicom": decode_pydicom}, options.rounds)


def print_row(title: str, contents: list[bytes], decoders: dict[str, Decoder | None], rounds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name, decode in decoders.items() if decode is not None}
    for _ in range(rounds):
        for name in rates:
            rates[name].append(measure(decoders[name], contents))
    names = ("lab", "Pillow", "OpenCV", "pydicom")
    cells = (f"{statistics.median(rates[name]):.1f}" if name in rates else "n/a" for name in names)
    print(ROW.format(title, *cells), flush=True)


def measure(decode: Decoder, contents: list[bytes]) -> float:
    """Images in a second of the processor; small ones several times, so that the clock is fine enough."""
    done, began = 0, time.process_time()
    while done == 0 or time.process_time() - began < MEASURE_S:
        for content in contents:
            decode(content)
        done += len(contents)
    return done / (time.process_time() - began)


def decode_lab(content: bytes) -> object:
    return read_image_bytes(content, "image.dcm").pixels


def decode_pillow(content: bytes) -> object:
    return np.asarray(Image.open(io.BytesIO(content)))


def decode_pydicom(content: bytes) -> object:
    """Pixels as stored; JPEG 2000 needs gdcm or Pillow where the package pylibjpeg is not installed."""
    return pydicom.dcmread(io.BytesIO(content)).pixel_array


def find_opencv() -> Decoder | None:
    try:
        import cv2
    except ImportError:
        return None
    cv2.setNumThreads(1)
    return lambda content: cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def name_opencv() -> str:
    try:
        import cv2
    except ImportError:
        return "not installed"
    return str(cv2.__version__)


if __name__ == "__main__":
    main()
