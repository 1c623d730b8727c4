"""Small data sets for tests of pages, and what a visitor reads and waits for."""

import time
from pathlib import Path

from PIL import Image

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import inspect_dataset
from medpeft_core.worker.jobs import JobStore

SMALL = {"num_patients": 40, "size": 64}
JOB_TIMEOUT_S = 120


def read_words(app):
    """All words of the main part of the page."""
    kinds = ("markdown", "caption", "info", "warning", "error", "subheader")
    return "\n".join(item.value for kind in kinds for item in app.main.get(kind))


def prepare_phantom(home) -> DataConfig:
    """A small synthetic set, prepared without a job, as a run or the command line does it."""
    data = DataConfig(dataset="phantom", options=SMALL)
    inspect_dataset(data)
    return data


def make_nih(folder: Path, *, patients: bool = True) -> Path:
    """An NIH folder of 40 patients with three films of 20 x 20 pixels each; one image of its own for each film."""
    (folder / "images").mkdir(parents=True)
    lines = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"]
    for number in range(120):
        name, finding = (
            f"{number // 3 + 1:08d}_{number % 3:03d}.png",
            ("No Finding", "Mass|Hernia", "Pneumonia")[number % 3],
        )
        Image.new("L", (20, 20), number).save(folder / "images" / name)
        patient = number // 3 + 1 if patients else ""
        lines.append(f"{name},{finding},{number % 3},{patient},{30 + number % 40},{'MF'[number % 2]},PA")
    (folder / "Data_Entry_2017.csv").write_text("\n".join(lines) + "\n")
    return folder


def wait_for_job(home):
    """The newest job once it has ended."""
    deadline = time.monotonic() + JOB_TIMEOUT_S
    job = JobStore(home).list_jobs()[0]
    while not JobStore(home).settle(job).is_finished:
        assert time.monotonic() < deadline, job.state()
        time.sleep(0.2)
    return job
