"""The synthetic set on disk and as a manifest: whole, repeatable, honest about what it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.phantom import FINDINGS, PhantomOptions
from medpeft_core.datasets.phantom_job import SetJob
from medpeft_core.datasets.phantom_store import open_set
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.errors import ConfigError, DataError
from medpeft_core.sections import build_part

NUM_PATIENTS = 12
SIZE = 64


class StopError(RuntimeError):
    """What a listener raises to stop the work."""


def read(root: Path, *, num_patients: int = NUM_PATIENTS, split_seed: int = 0, progress=ignore_progress) -> Manifest:
    options = PhantomOptions(num_patients=num_patients, size=SIZE)
    return DATASETS["phantom"].read_manifest(root, options, split_seed=split_seed, progress=progress)


def job(num_patients: int, seed: int = 0) -> SetJob:
    options = {"num_patients": num_patients, "seed": seed}
    return SetJob(dataset="phantom", options=options, seed=seed, size=32, num_patients=num_patients)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read(tmp_path_factory.mktemp("phantom") / "set")


def test_phantom_manifest_has_the_promised_columns(manifest: Manifest) -> None:
    severities = [f"severity_{name}" for name in FINDINGS]
    wanted = {"image", "patient_id", "split", *FINDINGS, "age", "sex", "view", "boxes", "mask", *severities}
    assert wanted <= set(manifest.table.columns)
    assert manifest.labels == ("Cardiomegaly", "Effusion", "Consolidation", "Nodule", "Pneumothorax")
    assert manifest.is_synthetic
    assert any("synthetic" in note for note in manifest.notes)
    for name in FINDINGS:
        assert ((manifest.table[name] == 1) == (manifest.table[f"severity_{name}"] > 0)).all()


def test_phantom_labels_agree_with_masks_and_boxes(manifest: Manifest) -> None:
    for row in manifest.table.to_dict("records"):
        present = [name for name in FINDINGS if row[name] == 1]
        boxes = json.loads(row["boxes"])
        assert list(dict.fromkeys(box["label"] for box in boxes)) == present
        assert isinstance(row["mask"], str) == bool(present)
        if not present:
            continue
        mask = np.array(Image.open(manifest.image_root / row["mask"]))
        assert mask.shape == (SIZE, SIZE)
        for bit, name in enumerate(FINDINGS):
            covered = (mask & (1 << bit)) > 0
            assert covered.any() == (name in present)
            boxed = np.zeros_like(covered)
            for box in (box for box in boxes if box["label"] == name):
                part = np.s_[box["y"] : box["y"] + box["height"], box["x"] : box["x"] + box["width"]]
                assert covered[part][[0, -1], :].any(axis=1).all()  # the box is tight
                assert covered[part][:, [0, -1]].any(axis=0).all()
                boxed[part] = True
            assert not (covered & ~boxed).any()


def test_phantom_images_look_like_exposed_films(manifest: Manifest) -> None:
    differences = []
    for path in manifest.paths():
        with Image.open(path) as image:
            assert (image.mode, image.size) == ("L", (SIZE, SIZE))
            pixels = np.asarray(image)
        assert 50 < pixels.mean() < 190
        assert pixels.std() > 25
        differences.append(pixels[40:52, 28:36].mean() - pixels[20:36, 14:22].mean())
    assert np.mean(differences) > 40  # heart and spine are denser than the right lung


def test_phantom_splits_go_by_patient_and_cost_no_new_drawing(manifest: Manifest) -> None:
    calls: list[str] = []
    other = read(manifest.image_root, split_seed=1, progress=lambda what, done, total: calls.append(what))
    assert calls == []
    assert (other.table["split"] != manifest.table["split"]).any()
    for each in (manifest, other):
        assert (each.table.groupby("patient_id")["split"].nunique() == 1).all()
        assert set(each.table["split"]) == {"train", "val", "test"}
    assert manifest.table.groupby("patient_id").size().max() > 1
    assert read(manifest.image_root).fingerprint() == manifest.fingerprint()


def test_phantom_about_says_synthetic_and_explains_the_bits(manifest: Manifest) -> None:
    about = json.loads((manifest.image_root / "about.json").read_text(encoding="utf-8"))
    assert about["is_synthetic"] is True
    assert "synthetic" in about["statement"]
    assert about["mask_bits"] == {name: 1 << bit for bit, name in enumerate(FINDINGS)}


def test_phantom_is_the_same_for_any_number_of_processes(tmp_path: Path) -> None:
    num_patients = 50  # enough for two processes
    one = open_set(job(num_patients), tmp_path / "one", ignore_progress, processes=1)
    two = open_set(job(num_patients), tmp_path / "two", ignore_progress, processes=2)
    pd.testing.assert_frame_equal(one, two)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_phantom_seed_decides_the_pictures(tmp_path: Path) -> None:
    open_set(job(10), tmp_path / "a", ignore_progress)
    open_set(job(10), tmp_path / "b", ignore_progress)
    open_set(job(10, seed=1), tmp_path / "c", ignore_progress)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert bytes_of(tmp_path / "a") != bytes_of(tmp_path / "c")


@pytest.mark.parametrize("processes", [1, 2])
def test_phantom_stopped_through_progress_leaves_nothing(tmp_path: Path, processes: int) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done >= 2:
            raise StopError

    with pytest.raises(StopError):
        open_set(job(48), tmp_path / "set", stop, processes=processes)
    left = [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")]
    assert left == []
    assert len(open_set(job(48), tmp_path / "set", ignore_progress, processes=processes)) >= 48


def test_phantom_removes_what_a_killed_program_left(tmp_path: Path) -> None:
    leftover = tmp_path / ".set.partial-abc"
    (leftover / "images").mkdir(parents=True)
    (leftover / "images" / "000000_000.png").write_bytes(b"half")
    open_set(job(10), tmp_path / "set", ignore_progress)
    assert not leftover.exists()


def test_phantom_second_program_waits_for_the_first(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from medpeft_core.datasets.phantom import *\n"
        "from medpeft_core.datasets.progress import ignore_progress\n"
        "options = PhantomOptions(num_patients=60, size=32)\n"
        "print(read_phantom(Path(sys.argv[1]), options, split_seed=0, progress=ignore_progress).fingerprint())\n"
    )  # a plain script without a main guard
    script_file = tmp_path / "script.py"
    script_file.write_text(script, encoding="utf-8")
    command = [sys.executable, str(script_file), str(tmp_path / "set")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    programs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    answers = [program.communicate(timeout=120)[0] for program in programs]
    assert [program.returncode for program in programs] == [0, 0]
    assert answers[0] == answers[1] != ""


def test_phantom_refuses_a_folder_with_something_else(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "holiday.png").write_bytes(b"")
    with pytest.raises(DataError, match="holds no synthetic set"):
        read(tmp_path)
    with pytest.raises(DataError, match="other settings"):
        read(manifest.image_root, num_patients=13)
    assert (tmp_path / "holiday.png").exists()


def test_phantom_without_root_lies_under_the_lab_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path))
    options = PhantomOptions(num_patients=10, size=32)
    manifest = DATASETS["phantom"].read_manifest(None, options, split_seed=0, progress=ignore_progress)
    assert manifest.image_root.parent == tmp_path.resolve() / "datasets"
    assert manifest.image_root.name.startswith("phantom-")
    assert all(path.is_file() for path in manifest.paths())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_patients": 3}, "data.num_patients is 3, but it must be from 10 to 100000."),
        ({"size": 16}, "data.size is 16, but it must be from 32 to 1024."),
        ({"seed": -1}, "data.seed is -1, but it must be from 0 to 4294967295."),
    ],
)
def test_phantom_refuses_options_out_of_range(values: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_part(PhantomOptions, values, section="data")
