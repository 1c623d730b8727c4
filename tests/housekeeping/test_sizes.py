"""Sizes of a home: each file counted once, links never followed, the last answer in sight while a new one comes."""

import threading
from pathlib import Path

import pytest

from medpeft_core.housekeeping.background import Background
from medpeft_core.housekeeping.inventory import take_inventory
from medpeft_core.housekeeping.sizes import measure_folder, measure_home


def write(path: Path, num_bytes: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(num_bytes))
    return path


def test_measure_home_counts_each_file_once(home: Path) -> None:
    sizes = {
        "datasets/phantom-1/images/a.png": 10,
        "cache/pixels/key/pixels.u8": 200,
        "cache/explanations/run/a.png": 30,
        "cache/views/a.parquet": 1,
        "cache/features/a.safetensors": 500,
        "weights/base.safetensors": 4000,
        "weights/shelf/mae.safetensors": 20_000,
        "exports/run/onnx/model.onnx": 700_000,
        "runs/run/adapter/head.safetensors": 50_000,
        "pretraining/run/encoders/a.safetensors": 3,
        "trash/run.1/config.json": 600_000,
        "jobs/job/log.txt": 7_000_000,
        "lab.sqlite": 80_000_000,
    }
    for name, size in sizes.items():
        write(home / name, size)
    parts = {part.name: part.size for part in measure_home(home)}
    assert {name: size.num_bytes for name, size in parts.items()} == {
        "datasets": 10, "pixels": 200, "features": 500, "pictures": 31, "weights": 4000, "shelf": 20_000,
        "runs": 50_000, "pretraining": 3, "exports": 700_000, "trash": 600_000, "jobs": 7_000_000, "other": 80_000_000,
    }  # fmt: skip
    assert sum(size.num_files for size in parts.values()) == len(sizes)


def test_measure_home_that_does_not_exist_is_empty(home: Path) -> None:
    inventory = take_inventory(home)
    assert inventory.num_bytes == inventory.num_files == 0
    assert (inventory.caches, inventory.bases, inventory.features, inventory.leftover_bytes) == ([], [], [], 0)
    assert not home.exists()


def test_measure_folder_follows_no_link(tmp_path: Path) -> None:
    """A link to the whole disk would be counted for hours, and what it points to is not ours."""
    write(tmp_path / "elsewhere" / "big", 1000)
    folder = tmp_path / "folder"
    write(folder / "own", 1)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "file_link").symlink_to(tmp_path / "elsewhere" / "big")
    (folder / "loop").symlink_to(folder)
    assert measure_folder(folder).num_bytes == 1


def test_measure_home_tells_of_a_part_that_lies_elsewhere(home: Path, tmp_path: Path) -> None:
    write(tmp_path / "scratch" / "pixels" / "key" / "pixels.u8", 500)
    home.mkdir()
    (home / "cache").symlink_to(tmp_path / "scratch")
    parts = {part.name: part for part in measure_home(home)}
    assert parts["pixels"].is_link
    assert parts["pixels"].size.num_bytes == parts["other"].size.num_bytes == 0


def test_background_keeps_the_last_answer_while_it_asks_again() -> None:
    gate, answers = threading.Event(), iter([1, 2])
    asked = Background(lambda tell: (gate.wait(10), tell("half"), next(answers))[2], name="test")
    assert asked.answer() is None
    gate.set()
    asked.ask()
    assert asked.wait(10)
    assert (asked.answer(), asked.progress, asked.is_running) == (1, "half", False)
    asked.ask(older_than_s=60)
    assert not asked.is_running
    gate.clear()
    asked.ask()
    assert asked.is_running
    assert asked.answer() == 1
    gate.set()
    assert asked.wait(10)
    assert asked.answer() == 2


def test_background_gives_on_what_went_wrong_and_tries_again() -> None:
    tries = iter([ValueError("no"), None])

    def work(tell: object) -> int:
        error = next(tries)
        if error is not None:
            raise error
        return 5

    asked = Background(work, name="test")
    asked.ask()
    assert asked.wait(10)
    with pytest.raises(ValueError, match="no"):
        asked.answer()
    asked.ask()
    assert asked.wait(10)
    assert asked.answer() == 5
