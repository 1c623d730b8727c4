"""Every file of weights in a home with who uses it; what may go and what stays; exports that can be made again."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from stored_pretrainings import make_pretraining
from stored_runs import make_run

from medpeft_core.backbones.shelf import ShelfEntry, list_shelf, shelf_file
from medpeft_core.errors import BackboneError
from medpeft_core.housekeeping import weights
from medpeft_core.housekeeping.cleaning import remove_bases, remove_exports, remove_leftovers
from medpeft_core.housekeeping.inventory import take_inventory
from medpeft_core.housekeeping.weights import find_shelf_uses, list_weights, remove_from_shelf
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.job_state import JobRequest, JobState
from medpeft_core.worker.jobs import JobStore

OLD = time.time() - 86_400
SHA256 = "ab" * 32


def put_on_shelf(home: Path, name: str, *, num_bytes: int = 100) -> Path:
    path = shelf_file(home, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(num_bytes))
    entry = ShelfEntry(
        name=name, backbone="vit_tiny_patch16_224", layout="mae", source="mae.pth", source_sha256="0" * 64,
        sha256="1" * 64, num_bytes=num_bytes, licence="MIT", added_at=5.0,
    )  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(entry.to_dict()), encoding="utf-8")
    return path


def use(home: Path, weights: str, *, status: str = "finished", sha256: str | None = None) -> str:
    run = make_run(home, status=status)
    config = run.config()
    run.save_config(replace(config, backbone=replace(config.backbone, weights=weights, weights_sha256=sha256)))
    return run.run_id


def test_rows_tell_source_size_and_users(home: Path) -> None:
    put_on_shelf(home, "mae")
    put_on_shelf(home, "unused", num_bytes=7)
    (home / "weights" / f"{SHA256}.safetensors").write_bytes(bytes(300))
    snapshot = home / "weights/hub/models--timm--vit_tiny_patch16_224.augreg/snapshots/c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "blobs").mkdir()
    (snapshot.parents[1] / "blobs" / "ab").write_bytes(bytes(5000))
    (snapshot / "model.safetensors").symlink_to("../../blobs/ab")
    on_shelf, downloaded = use(home, "shelf:mae", sha256=SHA256), use(home, "pretrained")
    begun = make_pretraining(home, settings={"encoder": {"weights": "shelf:mae"}}).run_id
    rows = {(row.kind, row.name): row for row in list_weights(home)}
    assert list(rows) == [
        ("shelf", "mae"), ("shelf", "unused"), ("base", SHA256), ("download", "timm/vit_tiny_patch16_224.augreg"),
    ]  # fmt: skip
    mae, unused, base, download = rows.values()
    assert set(mae.run_ids or ()) == {on_shelf, begun}
    assert (mae.source, mae.licence, mae.num_bytes, mae.backbones) == ("mae.pth", "MIT", 100, ("vit_tiny_patch16_224",))
    assert (unused.run_ids, unused.can_go) == ((), True)
    assert (base.run_ids, base.source, base.num_bytes, base.can_go) == ((on_shelf,), "shelf:mae", 300, False)
    assert (download.run_ids, download.num_bytes, download.revision) == ((downloaded,), 5000, "c0ffee")
    assert find_shelf_uses(home) == {"mae": mae.run_ids}
    assert json.loads(json.dumps([row.to_dict() for row in rows.values()]))[1]["can_go"] is True


def test_remove_from_shelf_frees_it_and_keeps_the_base_of_its_runs(home: Path) -> None:
    path = put_on_shelf(home, "mae")
    base = home / "weights" / f"{SHA256}.safetensors"
    base.write_bytes(bytes(300))
    use(home, "shelf:mae", sha256=SHA256)
    assert remove_from_shelf(home, "mae") == 100
    assert (path.exists(), list_shelf(home), base.exists()) == (False, [], True)
    assert [item.name for item in path.parent.iterdir()] == [".lock"]
    with pytest.raises(BackboneError, match="It is empty"):
        remove_from_shelf(home, "mae")
    with pytest.raises(BackboneError, match="no name of weights"):
        remove_from_shelf(home, f"../{SHA256}")
    assert base.exists()


@pytest.mark.parametrize("status", ["queued", "running"])
def test_remove_from_shelf_waits_for_runs_that_need_it(home: Path, status: str) -> None:
    put_on_shelf(home, "mae")
    run_id = use(home, "shelf:mae", status=status)
    with pytest.raises(BackboneError, match=f"stay on the shelf: the run {run_id}, which is {status}, needs them"):
        remove_from_shelf(home, "mae")
    (row,) = [row for row in list_weights(home) if row.kind == weights.SHELF]
    assert (row.can_go, run_id in row.stays) == (False, True)
    assert [entry.name for entry in list_shelf(home)] == ["mae"]


def test_remove_from_shelf_waits_for_jobs_that_set_runs_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_shelf(home, "mae")
    jobs = JobStore(home)
    request = JobRequest(kind="launch", title="Launching 2 runs", configs=[{"backbone": {"weights": "shelf:mae"}}])
    monkeypatch.setattr(JobStore, "list_jobs", lambda self: [RunningJob(request)])
    with pytest.raises(BackboneError, match="the job “Launching 2 runs” needs them"):
        remove_from_shelf(jobs.home, "mae")


class RunningJob:
    """A job at work, without its process."""

    def __init__(self, request: JobRequest) -> None:
        self._request = request
        self.is_finished = JobState().is_finished

    def request(self) -> JobRequest:
        return self._request


def test_cleaning_never_takes_the_shelf(home: Path) -> None:
    """A name of 64 hexadecimal digits looks like that of a base."""
    path = put_on_shelf(home, SHA256)
    os.utime(path, (OLD, OLD))
    assert remove_bases(home).num_removed == 0
    assert remove_leftovers(home).num_removed == 0
    assert path.exists()


def test_leftovers_of_the_shelf_and_of_exports_go_once_nobody_writes_them(home: Path) -> None:
    shelf, fetched, exports = home / "weights/shelf", home / "weights/fetched", home / "exports/run"
    for folder in (shelf, fetched, exports):
        folder.mkdir(parents=True)
    stale = [shelf / ".mae.abc.tmp", shelf / ".trash-1", fetched / "12ab-mae.pth", exports / ".peft.xyz"]
    young = [shelf / ".young.abc.tmp", fetched / "34cd-mae.pth"]
    for path in (*stale[:3], *young, fetched / "12ab.lock"):
        path.write_bytes(bytes(10))
    stale[3].mkdir()
    for path in (*stale, fetched / "12ab.lock"):
        os.utime(path, (OLD, OLD))
    assert remove_leftovers(home).num_removed == len(stale)
    assert sorted(path.name for path in fetched.iterdir()) == ["12ab.lock", "34cd-mae.pth"]
    assert [path.name for path in shelf.iterdir()] == [".young.abc.tmp"]
    assert list(exports.iterdir()) == []


def test_exports_go_where_they_can_be_made_again(home: Path) -> None:
    run_id = make_run(home).run_id
    for folder in (home / "exports" / run_id / "peft", home / "exports" / "gone-run" / "onnx"):
        folder.mkdir(parents=True)
        (folder / "export.json").write_bytes(bytes(50))
    assert take_inventory(home).export_bytes == 100
    done = remove_exports(RunStore(home))
    assert (done.num_removed, done.num_bytes) == (1, 50)
    assert done.kept == ("The export gone-run/onnx stays: its run is not here, so it cannot be made again.",)
    assert sorted(path.name for path in (home / "exports").iterdir()) == ["gone-run"]
