"""A small NIH-like folder, and one finished run that several tests look at."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands_run import TINY, run_command
from PIL import Image


@pytest.fixture
def nih_folder(tmp_path: Path) -> Callable[..., Path]:
    """`nih_folder(count)` makes a folder in the NIH layout; the class is visible as a bright square."""

    def make(count: int = 40) -> Path:
        root = tmp_path / "nih"
        (root / "images").mkdir(parents=True)
        rng = np.random.default_rng(0)
        lines = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"]
        for index in range(count):
            pixels = rng.integers(0, 80, (64, 64), dtype=np.uint8)
            is_sick = index % 2 == 1
            if is_sick:
                pixels[20:40, 20:40] = 220
            Image.fromarray(pixels).save(root / "images" / f"{index:08d}_000.png")
            finding = "Pneumonia" if is_sick else "No Finding"
            lines.append(f"{index:08d}_000.png,{finding},0,{index},{30 + index},F,PA")
        (root / "Data_Entry_2017.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return root

    return make


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Home and `train --json` of a LoRA run on phantoms, trained by a real worker."""
    home = tmp_path_factory.mktemp("finished_home")
    train = ["train", "--dataset", "phantom", "--backbone", "test_vit", "--image-size", "64", "--method", "lora"]
    result = run_command(
        [*train, "--rank", "4", "--pool", "avg", "--epochs", "2", "--lr", "0.003", *TINY, "--json"], home
    )
    assert result.returncode == 0, result.stderr
    return home, json.loads(result.stdout)


@pytest.fixture
def finished_home(finished: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the finished run, as the lab's home of this test."""
    monkeypatch.setenv("MEDPEFT_HOME", str(finished[0]))
    return finished[0]
