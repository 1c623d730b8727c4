"""Weights from the hub: asked, downloaded, resumed, refused and stopped, against a hub on this machine."""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_hub import COMMIT, TOKEN, FakeHub, FakeRepo, let_client_reach, open_hub
from foreign_files import BACKBONE, write_mae_file

from medpeft_core.backbones import hub_download
from medpeft_core.backbones.hub import describe_hub_file, parse_hub_source
from medpeft_core.backbones.shelf import list_shelf, shelf_dir, shelf_file
from medpeft_core.backbones.shelf_adding import FETCHED_FOLDER, add_weights
from medpeft_core.errors import BackboneError
from medpeft_core.worker.jobs import JobStore

REPO = "lab/cxr-mae"
WAIT_S = 60.0


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("original") / "mae.pth"
    write_mae_file(path)
    return path.read_bytes()


@pytest.fixture
def hub(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with one repository, and a client that waits for nothing between two tries."""
    monkeypatch.setattr(hub_download, "RETRY_WAIT_S", 0.0)
    with open_hub() as server:
        server.repos[REPO] = FakeRepo(files={"README.md": b"Hello", "mae.pth": content}, licence="cc-by-4.0")
        let_client_reach(server, monkeypatch)
        yield server


def add(home: Path, **options: Any) -> dict[str, Any]:
    return add_weights(home=home, **{"source": f"hf:{REPO}", "backbone": BACKBONE, **options})


def fetched(home: Path) -> list[Path]:
    return [path for path in (home / "weights" / FETCHED_FOLDER).glob("*") if path.suffix != ".lock"]


def is_shelf_bare(home: Path) -> bool:
    return [path for path in shelf_dir(home).glob("*") if path.name != ".lock"] == []


def test_add_from_the_hub_keeps_commit_and_licence(home: Path, hub: FakeHub, content: bytes) -> None:
    added = add(home)
    assert added["source"] == f"hf:{REPO}/mae.pth@{COMMIT}"
    assert added["source_sha256"] == hashlib.sha256(content).hexdigest()
    assert (added["name"], added["licence"], added["layout"]) == ("cxr-mae", "cc-by-4.0", "mae")
    assert fetched(home) == []
    before = len(hub.requests)
    assert add(home, name="again")["was_there"] is True
    assert hub.requests[before:] == [f"GET /api/models/{REPO}"]  # known by its hash: nothing is downloaded twice


def test_broken_connection_goes_on_where_it_was(home: Path, hub: FakeHub, content: bytes) -> None:
    hub.repos[REPO].breaks = [40_000, 60_000]
    assert add(home)["source_sha256"] == hashlib.sha256(content).hexdigest()
    assert hub.ranges == ["", "bytes=40000-", "bytes=100000-"]


def test_download_that_breaks_off_for_good_is_kept_for_the_next_try(home: Path, hub: FakeHub) -> None:
    hub.repos[REPO].breaks = [40_000] + [0] * hub_download.MAX_TRIES
    with pytest.raises(BackboneError, match=r"broke off at 40,000 of .*add the weights again to go on from there"):
        add(home)
    assert is_shelf_bare(home)
    hub.ranges.clear()
    assert add(home)["was_there"] is False
    assert hub.ranges == ["bytes=40000-"]
    assert fetched(home) == []


def test_content_that_was_not_announced_is_thrown_away(home: Path, hub: FakeHub, content: bytes) -> None:
    hub.repos[REPO].lies["mae.pth"] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(BackboneError, match="is not what the hub announced"):
        add(home)
    assert fetched(home) == []
    assert is_shelf_bare(home)


def test_server_that_never_ends_fills_no_disk(home: Path, hub: FakeHub, content: bytes) -> None:
    hub.repos[REPO].lies["mae.pth"] = content + bytes(20_000_000)
    with pytest.raises(BackboneError, match=f"sends more of mae.pth than the {len(content):,} bytes"):
        add(home)
    assert is_shelf_bare(home)
    assert fetched(home) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf:lab/none", "has no repository 'lab/none', or it is private"),
        ("hf:lab/secret", "has no repository 'lab/secret', or it is private"),
        (f"hf:{REPO}@v9", "has no revision 'v9'"),
        (f"hf:{REPO}/other.pth", r"no file 'other\.pth' in lab/cxr-mae\. Files of weights there: mae\.pth"),
        ("hf:lab/many", r"several files of weights: a\.pth, b\.ckpt\. Write hf:lab/many/FILE"),
        ("hf:lab/texts", "has no file of weights"),
        ("hf:lab/gated", r"Open https://huggingface\.co/lab/gated in a browser, accept them, then run `hf auth login`"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_sentence(home: Path, hub: FakeHub, source: str, message: str) -> None:
    hub.repos["lab/secret"] = FakeRepo(files={"a.pth": b"1"}, is_private=True)
    hub.repos["lab/many"] = FakeRepo(files={"a.pth": b"1", "b.ckpt": b"2", "optimizer.bin": b"3"})
    hub.repos["lab/texts"] = FakeRepo(files={"README.md": b"1", "training_args.bin": b"2"})
    hub.repos["lab/gated"] = FakeRepo(files={"a.pth": b"1"}, is_gated=True)
    with pytest.raises(BackboneError, match=message):
        add(home, source=source)
    assert is_shelf_bare(home)
    assert fetched(home) == []


def test_gated_weights_come_with_a_token(
    home: Path, hub: FakeHub, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos[REPO].is_gated = True
    assert describe_hub_file(REPO).is_gated
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert add(home)["source_sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "source",
    ["hf:lab", "hf:../etc", "hf:lab/a/../../b", "hf:lab/a//b", "hf:lab/a@../b", "hf:lab/a b", "hf:lab/a/.git/config"],
)
def test_false_names_never_reach_the_network(home: Path, hub: FakeHub, source: str) -> None:
    with pytest.raises(BackboneError, match="is no"):
        add(home, source=source)
    assert hub.requests == []


@pytest.mark.parametrize("file", ["../model.safetensors", "a\\..\\..\\b.pth", "/etc/b.pth", "C:b.pth"])
def test_false_names_in_a_listing_are_refused(home: Path, hub: FakeHub, file: str) -> None:
    hub.repos["lab/listed"] = FakeRepo(files={file: b"1"})
    with pytest.raises(BackboneError, match="is no file of a repository"):
        add(home, source="hf:lab/listed")
    assert hub.requests == ["GET /api/models/lab/listed"]
    assert fetched(home) == []


def test_download_has_no_name_from_the_network(home: Path, hub: FakeHub) -> None:
    hub.repos[REPO].breaks = [40_000] + [0] * hub_download.MAX_TRIES
    with pytest.raises(BackboneError, match="broke off"):
        add(home)
    (half,) = fetched(home)
    assert re.fullmatch(r"[0-9a-f]{16}\.pth", half.name)


def test_sources_are_read_as_they_are_written() -> None:
    assert parse_hub_source("hf:timm/vit_tiny.augreg") == ("timm/vit_tiny.augreg", "", "")
    assert parse_hub_source("hf:a/b/c/d.pth@refs/pr/1") == ("a/b", "c/d.pth", "refs/pr/1")


@pytest.mark.parametrize("variables", [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}])
def test_without_a_network_it_says_so_at_once(
    home: Path, hub: FakeHub, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BackboneError, match=r"cannot be reached, or HF_HUB_OFFLINE is set\. Connect to the internet"):
        add(home)
    assert hub.requests == []


def wait_for(what: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def test_stopped_job_leaves_nothing_and_the_next_goes_on(home: Path, hub: FakeHub, content: bytes) -> None:
    """A real process downloads: stopped half way nothing is on the shelf; started again it fetches the rest."""
    repo = hub.repos[REPO]
    repo.may_go_on = threading.Event()
    jobs = JobStore(home)
    options = {"source": f"hf:{REPO}", "backbone": BACKBONE}
    job = jobs.start("add_weights", "Adding cxr-mae", options=options)
    wait_for(lambda: bool(fetched(home)) and fetched(home)[0].stat().st_size == len(content) // 2)
    jobs.request_stop(job.job_id)
    time.sleep(0.5)  # it looks three times a second
    repo.may_go_on.set()
    wait_for(lambda: jobs.load(job.job_id).is_finished)
    assert job.state().status == "stopped", job.state()
    assert is_shelf_bare(home)
    repo.may_go_on = None
    hub.ranges.clear()
    job = jobs.start("add_weights", "Adding cxr-mae", options=options)
    wait_for(lambda: jobs.load(job.job_id).is_finished)
    state = job.state()
    assert state.status == "finished", state.error
    assert state.result is not None
    assert state.result["name"] == "cxr-mae"
    (entry,) = list_shelf(home)
    assert entry.sha256 == hashlib.sha256(shelf_file(home, entry.name).read_bytes()).hexdigest()
    assert [text.startswith("bytes=") for text in hub.ranges] == [True]  # the rest only
    assert fetched(home) == []
