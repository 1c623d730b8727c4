"""`python -m medpeft_core view` on DICOM files, and nothing else on the console than it says itself."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import medpeft_core
from medpeft_core import cli

FILM = "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm"


def view(image: Path, out: Path, *options: str) -> dict:
    result = CliRunner().invoke(cli.app, ["view", str(image), "--out", str(out), "--json", *options])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_view_of_monochrome1_is_the_exact_negative(samples: Path, tmp_path: Path) -> None:
    view(samples / FILM, tmp_path / "film.png")
    view(samples / "Fake_MONOHR1.dcm", tmp_path / "negative.png")
    film, negative = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("film", "negative"))
    np.testing.assert_array_equal(negative, 255 - film)
    assert film.shape == (1024, 1024)


def test_view_says_what_a_file_offers_and_takes_a_window(samples: Path, tmp_path: Path) -> None:
    facts = view(samples / "MR_small_RLE.dcm", tmp_path / "a.png")
    assert (facts["window"], facts["windows"], facts["num_frames"]) == ("1", ["centre 600, width 1600"], 1)
    assert facts["warnings"] == []
    wide = view(samples / "MR_small_RLE.dcm", tmp_path / "b.png", "--window", "full", "--size", "32")
    assert (wide["window"], wide["width"], wide["height"]) == ("full", 32, 32)
    assert Image.open(tmp_path / "b.png").size == (32, 32)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--frame", "2"), "has one frame, but frame 2 was asked for"),
        (("--window", "lung"), "must be auto, percentiles, full, or the number of a window"),
        (("--frame", "0"), "must be first, middle, last, or a number from 1"),
    ],
)
def test_view_refuses_what_the_file_lacks(samples: Path, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    out = str(tmp_path / "a.png")
    done = CliRunner().invoke(cli.app, ["view", str(samples / "CT_small.dcm"), "--out", out, *options])
    assert done.exit_code != 0
    assert words in str(done.exception)
    assert not (tmp_path / "a.png").exists()


def test_view_refuses_in_one_sentence(samples: Path, tmp_path: Path) -> None:
    """A real process, in which warnings of pydicom and tracebacks would reach the console."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-m", "medpeft_core", "view", str(samples / "MR_truncated.dcm"), "--out",
         str(tmp_path / "a.png")],
        cwd=Path(medpeft_core.__file__).parent.parent, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("", 2)
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: MR_truncated.dcm is cut off: its pixels should fill 8192 bytes, but 8130 are there.")
