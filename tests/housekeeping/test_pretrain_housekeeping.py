"""What pre-trainings need is kept, what they take is counted, and their failures are reported."""

import os
import time
from pathlib import Path

import pytest

from medpeft_core.housekeeping.bug_report import Surroundings, build_bug_report
from medpeft_core.housekeeping.cleaning import remove_bases, remove_caches
from medpeft_core.housekeeping.inventory import take_inventory
from medpeft_core.housekeeping.sizes import measure_home
from medpeft_core.housekeeping.usage import find_data_uses, find_runs_by_base, find_runs_by_pixels
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.jobs import JobStore

BASE = "a" * 64
CONFIG = PretrainConfig.from_dict(
    {"encoder": {"name": "vit_tiny_patch16_224", "weights": "pretrained", "weights_sha256": BASE}}
)


@pytest.fixture
def store(home: Path) -> RunStore:
    return RunStore(home)


@pytest.fixture
def run(store: RunStore) -> Run:
    return store.create(CONFIG, provenance={"pixels_sha256": "b" * 64}, device="cpu")


def make_base(home: Path) -> Path:
    path = home / "weights" / f"{BASE}.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(1000))
    os.utime(path, (time.time() - 86_400,) * 2)
    return path


def make_cache(home: Path) -> Path:
    """A cache of which nothing is known: whoever needs data of this size may need it."""
    folder = home / "cache" / "pixels" / ("0c" * 16)
    folder.mkdir(parents=True)
    (folder / "index.json").write_text('{"cache_size": 256}', encoding="utf-8")
    return folder


def test_decoded_images_of_a_pretraining_stay_while_it_is_not_over(store: RunStore, run: Run, home: Path) -> None:
    jobs, cache = JobStore(home), make_cache(home)
    [use] = find_data_uses(store, jobs)
    assert (use.who, use.dataset, use.pixels_sha256) == (f"the run {run.run_id}", "phantom", "b" * 64)
    assert find_runs_by_pixels(store) == {"b" * 64: [run.run_id]}
    assert remove_caches(store, jobs, [cache.name]).kept == (
        f"The decoded images {cache.name[:8]} stay: the run {run.run_id} needs them.",
    )
    run.write_state(status="finished")
    assert find_data_uses(store, jobs) == []
    assert remove_caches(store, jobs, [cache.name]).num_removed == 1


def test_weights_that_a_pretraining_began_with_stay_also_when_it_is_deleted(
    store: RunStore, run: Run, home: Path
) -> None:
    base = make_base(home)
    assert find_runs_by_base(home) == {BASE: [run.run_id]}
    assert remove_bases(home).num_removed == 0
    deleted = store.delete(run.run_id)
    assert find_runs_by_base(home) == {BASE: [deleted.folder.name]}
    assert remove_bases(home).num_removed == 0
    assert base.exists()
    store.purge_deleted([run.run_id])
    assert (remove_bases(home).num_removed, base.exists()) == (1, False)


def test_weights_stay_when_a_pretraining_is_damaged(run: Run, home: Path) -> None:
    base = make_base(home)
    run.config_path.write_text("{", encoding="utf-8")
    assert find_runs_by_base(home) is None
    assert (remove_bases(home).num_removed, base.exists()) == (0, True)


def test_inventory_counts_pretrainings_as_a_part_of_their_own(run: Run, home: Path) -> None:
    run.encoders_dir.mkdir()
    (run.encoders_dir / "epoch-0001.safetensors").write_bytes(bytes(5000))
    part = next(part for part in measure_home(home) if part.name == "pretraining")
    assert (part.title, part.size.num_files) == ("Pre-trainings", 5)
    assert part.size.num_bytes > 5000
    assert take_inventory(home).num_bytes > 5000


def test_bug_report_tells_of_a_failed_pretraining(run: Run, home: Path) -> None:
    run.write_state(status="failed", error="The memory of cpu ran out with --batch-size 64.")
    report = build_bug_report(home, Surroundings(packages={}, devices=[]))
    assert "- pre-trainings: 1 failed" in report
    assert f"{run.run_id}, failed at epoch 0 of 200" in report
    assert "The memory of cpu ran out with --batch-size #." in report
    assert '"mask_ratio": 0.75' in report
