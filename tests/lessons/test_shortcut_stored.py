"""The second lesson as it ships: whole, small, honest about where it comes from, and made from its own files."""

import json
import socket
from pathlib import Path

import pytest
from shortcut_answers import keep_masked, make_lesson_run

from medpeft_core.errors import MedPeftError
from medpeft_core.explain.masked_files import read_masked
from medpeft_core.lessons.shortcut import build_config
from medpeft_core.lessons.shortcut_result import build_result
from medpeft_core.lessons.shortcut_stored import STORED_DIR, Outcome, load_stored, store_outcome
from medpeft_core.lessons.shortcut_words import find_row
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.run import Run

MAX_BYTES, MAX_PICTURE_BYTES = 1_000_000, 600_000


def test_shipped_result_follows_from_the_shipped_files() -> None:
    stored = load_stored()
    assert stored is not None
    assert_same(build_result(stored.masked), stored.result)


def test_shipped_run_is_the_lessons_and_has_its_figures() -> None:
    stored = load_stored()
    assert stored is not None
    run = Run(STORED_DIR / "runs" / stored.result["run_id"])
    config, wanted = run.config(), resolve_config(build_config())
    assert (config.data, config.method, config.optim, config.augment) == (
        wanted.data, wanted.method, wanted.optim, wanted.augment,
    )  # fmt: skip
    metrics = run.metrics()
    assert metrics is not None
    for row in stored.result["aurocs"]:
        for split in ("val", "test"):
            shown = metrics[split]["per_class"][row["label"]]
            assert row[split] == pytest.approx(shown["auroc"])
            assert row[f"{split}_low"] == pytest.approx(shown["low"]), "the page and Monitor show one interval"
            assert row[f"{split}_high"] == pytest.approx(shown["high"])
    assert run.status == "finished"
    assert not list(run.folder.rglob("*.safetensors"))


def test_shipped_files_are_small_and_name_no_machine() -> None:
    files = [path for path in STORED_DIR.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_BYTES
    assert sum(path.stat().st_size for path in files if path.suffix in (".png", ".webp")) < MAX_PICTURE_BYTES
    for path in files:
        if path.suffix in (".json", ".jsonl"):
            text = path.read_text(encoding="utf-8")
            assert "/home" not in text
            assert "/tmp" not in text
            assert str(STORED_DIR.parents[2]) not in text
            assert socket.gethostname() not in text


def test_store_outcome_can_be_loaded_again(home: Path, tmp_path: Path) -> None:
    run = make_lesson_run(home)
    masked = read_masked(keep_masked(run, num_images=60))
    outcome = Outcome(result=build_result(masked), masked=masked)
    target = tmp_path / "stored"
    for _ in range(2):  # an older one is replaced
        store_outcome(run, outcome, target)
    assert load_stored(tmp_path / "nothing") is None
    loaded = load_stored(target)
    assert loaded is not None
    assert loaded.result["run_id"] == run.run_id
    assert_same(build_result(loaded.masked), loaded.result)
    example = loaded.masked.about["examples"][0]
    assert loaded.masked.picture(example, "masked") == masked.picture(masked.about["examples"][0], "masked")
    assert [path.name for path in (target / "runs").iterdir()] == [run.run_id]
    assert str(home) not in "".join(path.read_text() for path in target.rglob("*.json"))


def test_damaged_files_are_told(home: Path, tmp_path: Path) -> None:
    run = make_lesson_run(home)
    masked = read_masked(keep_masked(run, num_images=60))
    store_outcome(run, Outcome(result=build_result(masked), masked=masked), tmp_path / "stored")
    (tmp_path / "stored" / "answers" / "about.json").write_text(json.dumps({"finding": "Effusion"}))
    with pytest.raises(MedPeftError, match="about.json lacks"):
        load_stored(tmp_path / "stored")
    (tmp_path / "stored" / "result.json").write_text("{")
    with pytest.raises(MedPeftError, match="make it again: python -m medpeft_core lesson shortcut --store"):
        load_stored(tmp_path / "stored")


def assert_same(computed: dict, stored: dict) -> None:
    """Answers are stored with 32 bits, so the last digits may differ."""
    row, kept = find_row(computed), find_row(stored)
    for name, value in row.items():
        assert kept[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-6))
    assert computed["words"] == stored["words"]
    for name in ("cells", "masking"):
        for one, other in zip(computed[name], stored[name], strict=True):
            for key, value in one.items():
                wanted = value if isinstance(value, str) or value is None else pytest.approx(value, abs=1e-6)
                assert other[key] == wanted
