"""Exports on their way to the hub: what is sent, and what never leaves, against a hub on this machine."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import TOKEN, FakeHub, FakeRepo, let_client_reach, open_hub

from medpeft_core.errors import ExportError
from medpeft_core.exports.push import push_to_hub

RUN_ID = "20261126-0029-lora-r8-demo_vit-5402"
FILES = {"README.md": b"---\nlicense: mit\n---\nA model.\n", "tensors/[a].safetensors": bytes(range(256)) * 20}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with open_hub() as server:
        let_client_reach(server, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def make_export(folder: Path, *, format: str = "peft", files: dict[str, bytes] | None = None) -> Path:
    """A folder as `export_run` leaves it."""
    entries = []
    for name, content in (files or FILES).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        entries.append({"name": name, "num_bytes": len(content), "sha256": digest})
    about = {"run_id": RUN_ID, "format": format, "files": entries, "notes": []}
    (folder / "export.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def test_push_sends_the_files_of_the_export_and_no_others(tmp_path: Path, hub: FakeHub) -> None:
    folder = make_export(tmp_path)
    (folder / "my notes about patients.txt").write_text("private")
    (folder / "tensors" / "a.safetensors").write_text("not of the export")
    told: list[str] = []
    address = push_to_hub(folder, "me/cxr", progress=lambda what, done, total: told.append(what))
    assert address == f"{hub.endpoint}/me/cxr"
    repo = hub.repos["me/cxr"]
    assert repo.is_private
    assert repo.files == {**FILES, "export.json": (folder / "export.json").read_bytes()}
    assert hub.messages == [f"Export of the run {RUN_ID} as peft by MedPEFT Lab"]
    assert told[-1] == "uploading 3 files"


def test_push_that_is_done_cannot_be_stopped(tmp_path: Path, hub: FakeHub) -> None:
    def stop_when_sent(what: str, done: int, total: int) -> None:
        if hub.messages:
            raise ExportError("Stopped.")

    assert push_to_hub(make_export(tmp_path), "me/cxr", progress=stop_when_sent) == f"{hub.endpoint}/me/cxr"
    assert len(hub.messages) == 1


def test_push_again_replaces_and_public_is_by_choice(tmp_path: Path, hub: FakeHub) -> None:
    push_to_hub(make_export(tmp_path / "1"), "me/cxr", private=False, commit_message="First")
    push_to_hub(make_export(tmp_path / "2", files={"README.md": b"New.\n"}), "me/cxr", private=False)
    assert not hub.repos["me/cxr"].is_private
    assert hub.repos["me/cxr"].files["README.md"] == b"New.\n"
    assert hub.messages[0] == "First"


@pytest.mark.parametrize(
    ("format", "files"), [("archive", {"run.zip": b"zip"}), ("tensors", {"predictions/test.parquet": b"1"})]
)
def test_predictions_of_patients_never_become_public(
    tmp_path: Path, hub: FakeHub, format: str, files: dict[str, bytes]
) -> None:
    folder = make_export(tmp_path, format=format, files=files)
    with pytest.raises(ExportError, match=r"A public repository is no place for .* predictions of single patients"):
        push_to_hub(folder, "me/cxr", private=False)
    assert hub.requests == []
    hub.repos["me/open"] = FakeRepo()
    with pytest.raises(ExportError, match="is there already, and it is public"):
        push_to_hub(folder, "me/open")
    assert hub.repos["me/open"].files == {}
    push_to_hub(folder, "me/closed")
    assert hub.repos["me/closed"].is_private


@pytest.mark.parametrize(
    ("repo_id", "token", "message"),
    [
        ("me", TOKEN, "Write OWNER/NAME"),
        ("../x", TOKEN, "Write OWNER/NAME"),
        ("me/x", "", r"There is no token .* run `hf auth login`"),
        ("me/x", "hf_false", "does not accept the token"),
        ("you/x", TOKEN, r"no right to write to you/x\. Use a token of you"),
    ],
)
def test_refused_pushes_say_why(
    tmp_path: Path, hub: FakeHub, repo_id: str, token: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ExportError, match=message):
        push_to_hub(make_export(tmp_path), repo_id)
    assert hub.messages == []


def test_push_needs_a_whole_export_and_a_network(tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match="is no export of the lab"):
        push_to_hub(tmp_path, "me/x")
    with pytest.raises(ExportError, match="is no export of the lab"):
        push_to_hub(make_export(tmp_path / "out", files={"../outside": b"1"}), "me/x")
    folder = make_export(tmp_path / "changed")
    (folder / "README.md").write_text("Other.")
    with pytest.raises(ExportError, match="has changed since it was exported"):
        push_to_hub(folder, "me/x")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ExportError, match="cannot be reached"):
        push_to_hub(make_export(tmp_path / "whole"), "me/x")
    assert hub.messages == []
