"""One of several processes that draw a synthetic set; `phantom_drawing.py` starts them with FOLDER SHARE SHARES.

It reads `FOLDER/job.json`, draws every patient whose number leaves SHARE when divided by SHARES, and prints one JSON
line per patient. A process of its own, not a child of a pool: a pool imports the caller's main script once more, which
under Streamlit would run the whole app again. Its stdin is a pipe that nobody writes to: it closes when the parent is
gone, even killed, and the process ends at once.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from PIL import Image

from medpeft_core.datasets.phantom_job import JOB_FILE, SetJob
from medpeft_core.datasets.phantom_marks import draw_mark
from medpeft_core.datasets.phantom_patients import plan_patient, plan_rows
from medpeft_core.datasets.phantom_render import render_picture


def draw_patient(job: SetJob, index: int, folder: Path) -> list[dict[str, Any]]:
    """Write the pictures and masks of one patient; the result is the same in any process.

    Returns:
        One row per picture: that of `plan_rows` with mask (None where there is nothing to mark) and boxes as JSON text.
    """
    patient = plan_patient(job.seed, index)
    rows = []
    for picture, planned in zip(patient.pictures, plan_rows(patient), strict=True):
        name = patient.image_name(picture.number)
        rendered = render_picture(patient, picture.number, size=job.size)
        pixels, mask = rendered.pixels, rendered.mask
        if name in job.marked:
            pixels, mask = draw_mark(pixels, mask, job.mark, rng=patient.mark_stream(picture.number))
        Image.fromarray(pixels).save(folder / name, compress_level=3)
        mask_name = name.replace("images/", "masks/") if mask.any() else None
        if mask_name:
            Image.fromarray(mask).save(folder / mask_name, compress_level=3)
        rows.append({**planned, "mask": mask_name, "boxes": json.dumps(rendered.boxes())})
    return rows


def end_with_parent() -> None:
    """End this process as soon as its stdin closes."""

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read, whose lock would trouble the interpreter's normal end
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Draw this process's share and report each patient on stdout."""
    end_with_parent()
    folder, share, shares = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    job = SetJob.load(folder / JOB_FILE)
    for index in range(share, job.num_patients, shares):
        print(json.dumps(draw_patient(job, index, folder)), flush=True)


if __name__ == "__main__":
    main()
