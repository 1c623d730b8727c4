"""The bug report tells what is needed to mend the lab, and nothing about people."""

import getpass
import json
import platform
from dataclasses import replace
from pathlib import Path

import pytest
from stored_runs import make_run

from medpeft_core.housekeeping.bug_report import Surroundings, build_bug_report
from medpeft_core.housekeeping.inventory import take_inventory
from medpeft_core.housekeeping.redaction import redact_text, redact_value
from medpeft_core.runs.store import RunStore

PATIENT_IDS = ("00013118", "PAT-004711", "8f3a9c0d1e2b4a57", "4711")
NAMES = ("Mustermann", "Erika", "Doe_John", "Zimmerberg", "zimmerberg")
FILES = ("00013118_008.png", "Mustermann Erika 1951.dcm", "scan of zimmerberg.jpeg")
HOST = "lab-pc-anna.clinic.example"
PRIVATE = (*PATIENT_IDS, *NAMES, "1951-03-02", HOST, "lab-pc-anna", "geheim")
SURROUNDINGS = Surroundings(
    packages={"torch": "2.15.0", "timm": None}, devices=[{"name": "cpu", "title": "x86_64", "memory_bytes": 8e9}],
    doctor={"torch": {"version": "2.15.0", "cuda_build": "13.0"}, "problems": ["Only 1 GB for /home/Mustermann/lab."]},
    role="viewer", problem="The disk is full: /home/Mustermann/lab/lab.sqlite.",
)  # fmt: skip

ERROR = (
    "The data set 'zimmerberg-study' has no image '00013118_008.png'. Choose one that it lists. 3 patients are in "
    "train and test: 4711, PAT-004711, 8f3a9c0d1e2b4a57 (born 1951-03-02)."
)
TRACEBACK = f"""Traceback (most recent call last):
  File "/home/Mustermann/study/own_reader.py", line 14, in read_Mustermann_Erika
    raise ValueError("patient Mustermann Erika 00013118")
  File "{json.__file__}", line 1, in loads
  File "C:\\Users\\zimmerberg\\x.py", line 3, in <module>
torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB while reading Mustermann Erika 1951.dcm
"""
LOG = "\n".join(
    (
        f"host {HOST} user geheim",
        "epoch 3 of 10, about 20 s left",
        "reading /data/Zimmerberg Klinik/Mustermann Erika/scan of zimmerberg.jpeg",
        "reading \\\\server\\zimmerberg\\Doe_John\\1.png",
        "patient=4711;name=Doe_John;id:PAT-004711",
        '`Mustermann` “Erika” "00013118" (4711) [4711] <4711> 4711,4711',
    )
)


@pytest.fixture
def report(home: Path) -> str:
    """The report of a lab that is full of private things."""
    meta = {"tags": ["geheim"], "notes": "Mustermann Erika, 4711", "owner": "zimmerberg"}
    settings = {"data": {"dataset": "nih", "root": "/data/Zimmerberg Klinik"}}
    run = make_run(home, status="failed", epochs_done=1, error=ERROR, meta=meta, settings=settings)
    run.emit({"type": "error", "text": ERROR, "traceback": TRACEBACK})
    run.log_path.write_text(LOG, encoding="utf-8")
    make_run(home, meta=meta)
    (home / "compute.log").write_text(LOG + "\n" + TRACEBACK, encoding="utf-8")
    return build_bug_report(home, SURROUNDINGS, take_inventory(home))


def test_bug_report_holds_nothing_private(report: str, home: Path) -> None:
    lines = report.splitlines()
    for word in (*PRIVATE, *FILES, str(home), str(Path.home()), home.name + "/"):
        assert [line for line in lines if word in line] == [], word
    for word in (getpass.getuser(), platform.node()):
        assert not any(f"/{word}" in line for line in lines), word
    assert platform.node() not in report


def test_bug_report_tells_what_is_needed(report: str, home: Path) -> None:
    run_id = next(run.run_id for run in RunStore(home).list_runs() if run.status == "failed")
    for text in (
        "torch 2.15.0", "timm missing", "CUDA 13.0", "only watches", run_id, "1 failed, 1 finished", '"dataset": "nih"',
        '"root": "<path>"', "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB",
        'File "<python>/json/__init__.py", line 1, in loads', "epoch 3 of 10, about 20 s left", "has no image",
        "The disk is full", "Choose one that it lists", "Runs: ",
    ):  # fmt: skip
        assert text in report, text


def test_bug_report_of_an_empty_lab(home: Path) -> None:
    report = build_bug_report(home, replace(SURROUNDINGS, doctor=None, problem=None))
    assert "None has failed." in report
    assert "runs: none" in report


def test_bug_report_shows_public_code_only(home: Path) -> None:
    """The line below a frame is shown only where it is the very line of an installed file."""
    number, line = next(
        (number, line.strip())
        for number, line in enumerate(Path(json.__file__).read_text().splitlines(), start=1)
        if line.strip().startswith("def loads")
    )
    frame = f'  File "{json.__file__}", line {number}, in x'
    text = "\n".join((frame, f"    {line}", frame, "    secret Zimmerberg"))
    shown = redact_text(text)
    assert line in shown
    assert "Zimmerberg" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Doe John 2020.png cannot be read: is cut off or damaged.", "<…> cannot be read: is cut off or damaged."),
        ("optim.lr is too large; halve train.batch_size", "optim.lr is too large; halve train.batch_size"),
        ("mat1 and mat2 shapes cannot be multiplied (16x192 and 384x5)",) * 2,
        ("exit code 9, signal 11", "exit code 9, signal 11"),
        ("[Errno 28] No space left on device: '/home/x/y'", "[Errno 28] No space left on device: '<…>'"),
        ("", ""),
    ],
)
def test_redact_text_keeps_what_is_known(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_redact_value_hides_folders_and_unknown_texts() -> None:
    config = {
        "data": {"root": "/x", "dataset": "nih", "options": {"csv": "meyer.csv", "Zimmerberg": 1}},
        "backbone": {"weights": "/home/a.pth", "weights_sha256": "ab" * 32},
        "train": {"seed": 3, "patience": None, "compile": False},
    }
    shown = redact_value(config)
    assert shown["data"] == {"root": "<path>", "dataset": "nih", "options": {"csv": "<…>", "<…>": 1}}
    assert shown["backbone"] == {"weights": "<path>", "weights_sha256": "ab" * 32}
    assert shown["train"] == config["train"]
