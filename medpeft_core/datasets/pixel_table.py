"""From a journal whose images are all decoded to the files of a finished cache: pixels alike, table, header."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.datasets.pixel_cache import FORMAT_VERSION, HEADER_FILE, PIXELS_FILE, TABLE_FILE
from medpeft_core.datasets.pixel_journal import GROWING_FILE, JOURNAL_FILE, Row
from medpeft_core.datasets.progress import Progress
from medpeft_core.paths import write_atomically, write_json

_JOURNAL_ONLY = ["row", "file_bytes", "changed_ns"]


def finish_pixels(
    unfinished: Path, rows: list[Row], cache_size: int, progress: Progress, *, decode_s: float | None
) -> None:
    """Give all images one number of channels, and write table and header, the header last.

    Killed anywhere in it, the folder is either a whole cache or one that `PixelJournal` goes on with.

    Args:
        unfinished: folder with the growing pixels.
        rows: of the journal, one for each image.
        decode_s: seconds that decoding took, for people who want to know what a cache costs to make again;
            None: not known.

    Raises:
        OSError: the disk is full.
    """
    table = pd.DataFrame(rows).drop(columns=_JOURNAL_ONLY)
    is_readable = table["channels"] > 0
    channels = 3 if (table["channels"] == 3).any() else 1
    is_mixed = bool(is_readable.any() and (table["channels"] != channels).any())
    if is_mixed:
        shape = tuple(table.loc[is_readable, ["height", "width"]].iloc[0])
        _write_alike(unfinished, table, channels, (int(shape[0]), int(shape[1])), progress)
        table.loc[~is_readable, ["height", "width"]] = shape
    sizes = channels * table["height"] * table["width"]
    table["offset"] = sizes.cumsum() - sizes
    write_atomically(unfinished / TABLE_FILE, table.drop(columns="channels").to_parquet)
    if not is_mixed:
        (unfinished / GROWING_FILE).replace(unfinished / PIXELS_FILE)
    header: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "cache_size": cache_size,
        "channels": channels,
        "num_images": len(table),
    }
    header |= {"num_bytes": int(sizes.sum()), "decode_s": None if decode_s is None else round(decode_s, 3)}
    write_json(unfinished / HEADER_FILE, header)


def drop_journal(folder: Path) -> None:
    """Remove from a whole cache what was needed only to go on with it."""
    for path in (folder / GROWING_FILE, folder / JOURNAL_FILE, *folder.glob(".*.tmp")):
        path.unlink(missing_ok=True)


def _write_alike(
    unfinished: Path, table: pd.DataFrame, channels: int, blank: tuple[int, int], progress: Progress
) -> None:
    """Repeat grey images into `channels`, and put a black image of size `blank` in the place of each unreadable one."""

    def write(temporary: Path) -> None:
        with (unfinished / GROWING_FILE).open("rb") as source, temporary.open("wb") as target:
            for done, (own_channels, height, width) in enumerate(shapes.tolist()):
                progress("making grey and colour images alike", done, len(shapes))
                block = np.zeros((1, *blank), np.uint8)
                if own_channels:
                    block = np.frombuffer(source.read(own_channels * height * width), np.uint8)
                    block = block.reshape(-1, height, width)
                target.write(np.broadcast_to(block, (channels, *block.shape[1:])).tobytes())

    shapes = table[["channels", "height", "width"]].to_numpy(np.int64)
    write_atomically(unfinished / PIXELS_FILE, write)
