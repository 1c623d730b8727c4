"""The whole of a run as a zip: what is in it, what is not, and that nobody packs a run at work."""

import hashlib
import json
import os
import zipfile

import pytest
from archives import make_packable, pack_run, read_all
from stored_pretrainings import make_pretraining
from stored_runs import make_run

from medpeft_core.errors import ExportError
from medpeft_core.exports.archive import write
from medpeft_core.exports.spec import ExportOptions, RunContext


def test_archive_holds_every_file_with_its_hash(home, tmp_path):
    run = make_packable(home)
    files = read_all(pack_run(run, tmp_path))
    manifest = json.loads(files["manifest.json"])
    assert manifest["run_id"] == run.run_id
    assert manifest["kind"] == "run"
    told = {item["name"]: (item["num_bytes"], item["sha256"]) for item in manifest["files"]}
    assert told == {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name, content in files.items()
        if name != "manifest.json"
    }
    base = run.config().backbone.weights_sha256
    wanted = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    wanted -= {"checkpoints/last/state.safetensors"}
    assert set(told) == {f"run/{name}" for name in wanted} | {f"weights/{base}.safetensors"}
    assert "run/predictions/test.parquet" in told


def test_archive_is_the_same_again_and_deflates_text_only(home, tmp_path):
    run = make_packable(home)
    first, second = pack_run(run, tmp_path / "a"), pack_run(run, tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        kinds = {info.filename: info.compress_type for info in archive.infolist()}
    assert kinds["run/config.json"] == kinds["run/events.jsonl"] == zipfile.ZIP_DEFLATED
    assert kinds["run/adapter/adapter.safetensors"] == kinds["run/predictions/val.parquet"] == zipfile.ZIP_STORED


def test_archive_leaves_out_what_was_not_asked_for_and_takes_what_was(home, tmp_path):
    run = make_packable(home)
    small = read_all(pack_run(run, tmp_path / "a", include_base=False, include_predictions=False))
    assert not [name for name in small if "weights/" in name or "predictions" in name or "checkpoints" in name]
    assert "run/checkpoints/last/state.safetensors" in read_all(pack_run(run, tmp_path / "b", include_checkpoint=True))


def test_archive_tells_of_pseudonyms_paths_and_what_is_left_out(home, tmp_path):
    run = make_packable(home, settings={"data": {"dataset": "nih", "root": str(tmp_path)}})
    context = RunContext(run=run, provenance={}, metrics={})
    notes = " ".join(write(context, tmp_path, ExportOptions()).notes)
    for part in (
        "cannot be matched between homes",
        "folders of this machine",
        "The checkpoint is left out",
        "No image",
    ):
        assert part in notes
    assert read_all(tmp_path / f"{run.run_id}.zip")["run/config.json"] == run.config_path.read_bytes()


def test_archive_follows_no_link_and_takes_no_strange_file(home, tmp_path):
    run = make_packable(home)
    secret = tmp_path / "secret.txt"
    secret.write_text("not yours")
    run.log_path.unlink()
    run.log_path.symlink_to(secret)
    (run.folder / "pictures").symlink_to(tmp_path, target_is_directory=True)
    (run.folder / "diary.txt").write_text("mine")
    (run.folder / ".reserve").write_bytes(b"x")
    context = RunContext(run=run, provenance={}, metrics={})
    notes = " ".join(write(context, tmp_path, ExportOptions()).notes)
    files = read_all(tmp_path / f"{run.run_id}.zip")
    assert not {"run/log.txt", "run/diary.txt", "run/.reserve", "run/pictures/secret.txt"} & set(files)
    assert b"not yours" not in b"".join(files.values())
    assert "diary.txt, log.txt, pictures" in notes


@pytest.mark.parametrize("status", ["running", "queued"])
def test_archive_of_a_run_at_work_is_refused(home, tmp_path, status):
    run = make_run(home, status=status)
    with pytest.raises(ExportError, match=f"is {status}: a process works on it or will soon"):
        pack_run(run, tmp_path)


def test_archive_without_its_base_is_refused_and_a_changed_one_too(home, tmp_path):
    run = make_packable(home)
    base = home / "weights" / f"{run.config().backbone.weights_sha256}.safetensors"
    base.write_bytes(b"other")
    with pytest.raises(ExportError, match="have changed since it was trained"):
        pack_run(run, tmp_path / "a")
    base.unlink()
    with pytest.raises(ExportError, match="are missing from"):
        pack_run(run, tmp_path / "b")
    assert pack_run(run, tmp_path / "c", include_base=False).is_file()


def test_archive_tells_bytes_and_stops_when_told(home, tmp_path):
    run, told = make_packable(home), []
    context = RunContext(run=run, provenance={}, metrics={}, progress=lambda *step: told.append(step))
    write(context, tmp_path, ExportOptions())
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1] == told[-1][2] == sum(len(c) for n, c in read_all(tmp_path / f"{run.run_id}.zip").items()
                                             if n != "manifest.json")  # fmt: skip

    def stop(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "stopped").mkdir()
    with pytest.raises(KeyboardInterrupt):
        write(RunContext(run=run, provenance={}, metrics={}, progress=stop), tmp_path / "stopped", ExportOptions())


def test_archive_of_a_pretraining_holds_pictures_and_encoders(home, tmp_path):
    run = make_pretraining(home)
    files = read_all(pack_run(run, tmp_path, include_base=False))
    assert json.loads(files["manifest.json"])["kind"] == "pretraining"
    assert {"run/pictures/original.png", "run/encoders/epoch-0004.safetensors", "run/encoders/epoch-0004.md"} <= set(
        files
    )


def test_archive_of_a_file_that_changes_into_a_link_does_not_follow_it(home, tmp_path):
    """Between the look at the folder and the reading, somebody may put a link in a file's place."""
    run = make_packable(home)
    target = tmp_path / "secret"
    target.write_bytes(b"not yours")

    def swap(what: str, done: int, total: int) -> None:
        if not run.log_path.is_symlink():
            run.log_path.unlink()
            os.symlink(target, run.log_path)

    with pytest.raises(OSError, match="log"):
        write(RunContext(run=run, provenance={}, metrics={}, progress=swap), tmp_path, ExportOptions())
