"""Archives from anywhere: what is honest comes in whole, everything else is refused by name and leaves nothing."""

import json
import os
import signal
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from archives import MANIFEST, MAX_MEMORY_BYTES, make_packable, pack_run, read_all, refuse, snapshot, write_all, zip_of
from safetensors.numpy import save
from stored_pretrainings import make_pretraining

from medpeft_core.errors import ExportError
from medpeft_core.exports.run_import import DRAFT_PREFIX, import_run
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore

Files = dict[str, bytes]


def test_import_brings_every_file_and_the_base(packed, home):
    run, path = packed
    told: list[tuple[str, int, int]] = []
    imported = import_run(path, home=home, progress=lambda *step: told.append(step))
    assert imported.run_id == run.run_id
    assert imported.is_new
    brought = Run(home / "runs" / run.run_id)
    before, after = snapshot(run.folder), snapshot(brought.folder)
    for name in ("meta.json", "state.json"):
        del before[name], after[name]
    assert after == before
    assert snapshot(home / "weights") == snapshot(run.home / "weights")
    assert imported.num_bytes == sum(len(content) for name, content in read_all(path).items() if name != MANIFEST)
    assert any(0 < done <= total == imported.num_bytes for _, done, total in told)
    meta = brought.meta()
    assert (meta["notes"], meta["tags"], meta["imported_from"]) == ("line one", ["good"], path.name)
    assert meta["imported_at"] > 0
    assert [item["run_id"] for item in list_summaries(RunStore(home))] == [run.run_id]
    assert brought.state().pid is None


def test_import_of_the_same_run_says_so_and_gives_back_a_lost_base(packed, home):
    import_run(packed[1], home=home)
    base = next((home / "weights").iterdir())
    content = base.read_bytes()
    base.write_bytes(b"damaged")
    RunStore(home).load(packed[0].run_id).save_meta({"tags": ["mine"], "notes": "", "owner": ""})
    before = snapshot(home / "runs")
    again = import_run(packed[1], home=home)
    assert not again.is_new
    assert "was here already" in again.notes[0]
    assert base.read_bytes() == content
    assert snapshot(home / "runs") == before


def test_import_of_a_pretraining_brings_encoders_and_pictures(home, tmp_path):
    run = make_pretraining(tmp_path / "first")
    for path in (*run.encoders_dir.glob("*.safetensors"), run.checkpoint_dir / "state.safetensors"):
        path.write_bytes(save({"norm.weight": np.ones(3, np.float32)}))
    imported = import_run(pack_run(run, tmp_path, include_base=False), home=home)
    assert [item.run_id for item in RunStore(home).list_pretrainings()] == [imported.run_id]
    brought = Run(home / "pretraining" / run.run_id)
    assert snapshot(brought.encoders_dir) == snapshot(run.encoders_dir)
    assert snapshot(brought.pictures_dir) == snapshot(run.pictures_dir)
    assert len(snapshot(brought.encoders_dir)) == 4


def test_import_over_another_run_of_that_name_is_refused(packed, files, home, tmp_path):
    import_run(packed[1], home=home)
    files["run/metrics.json"] = b"{}"
    refuse(write_all(tmp_path / "x.zip", files), home, "is here already, and its metrics.json is another one")


@pytest.mark.parametrize("status", ["running", "queued", "paused"])
def test_import_of_a_run_that_was_at_work_is_interrupted(packed, files, home, tmp_path, status):
    state = {**json.loads(files["run/state.json"]), "status": status, "pid": 1, "pid_started": 1.0}
    files["run/state.json"] = json.dumps(state).encode()
    imported = import_run(write_all(tmp_path / "x.zip", files), home=home)
    found = RunStore(home).load(imported.run_id).state()
    assert (found.status, found.pid) == ("interrupted", None)
    assert found.error == f"It was {status} in the lab that it was exported from."
    assert not RunStore(home).index.queued()


def test_import_without_base_or_checkpoint_says_what_is_missing(files, home, tmp_path):
    state = {**json.loads(files["run/state.json"]), "status": "stopped"}
    files["run/state.json"] = json.dumps(state).encode()
    kept = {name: content for name, content in files.items() if "weights/" not in name and "checkpoints" not in name}
    notes = " ".join(import_run(write_all(tmp_path / "x.zip", kept), home=home).notes)
    assert "are neither in the archive nor in this home" in notes
    assert "cannot be resumed" in notes


@pytest.mark.parametrize("name", [MANIFEST, "run/config.json", "run/state.json", "run/provenance.json"])
def test_import_needs_what_every_run_has(files, home, tmp_path, name):
    (tmp_path / "x.zip").write_bytes(zip_of({key: value for key, value in files.items() if key != name}))
    refuse(tmp_path / "x.zip", home, f"The archive lacks {name}")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format_version": 2, "lab_version": "9.0"}, r"newer MedPEFT Lab \(9.0\): update this one"),
        ({"format_version": "1"}, "its format_version is '1'"),
        ({"format_version": True}, "its format_version is True"),
        ({"run_id": "../../etc"}, "'../../etc' is not the name of a run"),
        ({"run_id": None}, "'None' is not the name of a run"),
        ({"run_id": "20261126-0029-mae-demo_vit-5402"}, "does not fit the name"),
        ({"kind": "pretraining"}, "does not fit the name"),
        ({"files": {}}, "no list of files"),
        ({"files": []}, "does not name 'run/adapter/adapter.safetensors'"),
        ({"files": [7]}, "'None', which is not in the archive"),
    ],
)
def test_import_refuses_a_manifest_that_does_not_fit(files, home, tmp_path, changes, match):
    refuse(write_all(tmp_path / "x.zip", files, **changes), home, match)


def test_import_refuses_a_manifest_that_is_no_json_object(files, home, tmp_path):
    for content in (b"[]", b"{", b"[" * 100_000, b"\xff\xfe"):
        (tmp_path / "x.zip").write_bytes(zip_of({**files, MANIFEST: content}))
        refuse(tmp_path / "x.zip", home, "manifest.json of the archive is refused: it is no JSON")


def test_import_refuses_a_file_that_is_not_what_the_manifest_says(files, home, tmp_path):
    changed = bytearray(files["run/adapter/adapter.safetensors"])
    changed[-1] ^= 1
    path = write_all(tmp_path / "x.zip", {**files, "run/adapter/adapter.safetensors": bytes(changed)}, fix=False)
    refuse(path, home, "'run/adapter/adapter.safetensors'.*its SHA-256 is not what the manifest says")


def test_import_refuses_a_base_under_another_name_or_of_another_run(files, home, tmp_path):
    base = next(name for name in files if name.startswith("weights/"))
    other = save({"other": np.zeros(3, np.float32)})
    refuse(write_all(tmp_path / "x.zip", {**files, base: other}), home, "is not its SHA-256")
    config = json.loads(files["run/config.json"])
    config["backbone"]["weights_sha256"] = "0" * 64
    path = write_all(tmp_path / "y.zip", {**files, "run/config.json": json.dumps(config).encode()})
    refuse(path, home, "are not those that config.json names")


DAMAGED = {
    "run/config.json": [b"{", b"[]", b'{"schema_version": 1, "evil": {}}', b"[" * 100_000],
    "run/state.json": [b"{}", b'{"status": "dancing"}', b"\xff", b'{"status": "finished", "epoch": "x"}'],
    "run/provenance.json": [b"[]", b'{"labels": 7}', b'{"data_notes": [1]}', b'{"num_params": "many"}'],
    "run/metrics.json": [
        b"7",
        b'{"test": 7}',
        b'{"test_auroc": "high"}',
        b'{"test": {"per_class": {"a": 7}}}',
        b'{"training": {"wall_time_s": "long"}}',
        b'{"test": {"per_class": {"a": {}}}}',
    ],
    "run/meta.json": [b'{"tags": 7}', b'{"tags": ["a,b"]}', b'{"notes": 7}'],
    # a header that claims 2^60 bytes, one that leads beyond the file, and a pickle
    "run/adapter/adapter.safetensors": [
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 64) + b'{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}'[:64] + b"....",
        b"\x80\x04cos\nsystem\n(S'touch /tmp/evil'\ntR.",
    ],
    "run/predictions/test.parquet": [b"PAR1....PAR1", b"no table"],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_import_refuses_files_that_no_lab_could_read(files, home, tmp_path, name):
    for content in DAMAGED[name]:
        refuse(write_all(tmp_path / "x.zip", {**files, name: content}), home, Path(name).name + ".*refused")


def test_import_refuses_a_table_of_predictions_that_unfolds_without_end(files, home, tmp_path):
    """A column that repeats one value is a few bytes on the disk and gigabytes in memory."""
    column = pa.nulls(26_000_000, pa.int8())
    pyarrow.parquet.write_table(pa.table({f"logit_{k}": column for k in range(4)}), tmp_path / "big.parquet")
    content = (tmp_path / "big.parquet").read_bytes()
    assert len(content) < 1_000_000
    path = write_all(tmp_path / "x.zip", {**files, "run/predictions/test.parquet": content})
    before = snapshot(home)
    with pytest.raises(ExportError, match="test.parquet of the archive is refused: it claims 26,000,000 rows"):
        import_run(path, home=home)
    assert snapshot(home) == before


def test_import_needs_little_memory_for_large_files(tmp_path, home):
    run = make_packable(tmp_path / "large", base_values=12_000_000)
    path = pack_run(run, tmp_path)
    assert path.stat().st_size > 48_000_000
    tracemalloc.start()
    import_run(path, home=home)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MAX_MEMORY_BYTES


def test_import_that_is_stopped_leaves_nothing(packed, home):
    def stop(what: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_run(packed[1], home=home, progress=stop)
    assert snapshot(home) == {}


KILLED = """
import sys, time
from pathlib import Path
from medpeft_core.exports.run_import import import_run

def wait(what, done, total):
    if what.startswith({stage!r}):
        print("there", flush=True)
        time.sleep(60)

import_run(Path(sys.argv[1]), home=Path(sys.argv[2]), progress=wait)
"""


@pytest.mark.faults
@pytest.mark.parametrize("stage", ["unpacking weights", "putting it in its place"])
def test_import_that_is_killed_leaves_no_half_run_and_the_next_one_works(packed, home, stage):
    command = [sys.executable, "-c", KILLED.format(stage=stage), str(packed[1]), str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert list(home.glob(f"{DRAFT_PREFIX}*"))
    assert RunStore(home).list_all() == []
    assert not (home / "weights").exists()
    assert import_run(packed[1], home=home).is_new
    assert not list(home.glob(f"{DRAFT_PREFIX}*"))
    assert snapshot(home / "weights") == snapshot(packed[0].home / "weights")
