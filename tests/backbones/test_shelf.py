"""The weights shelf: files go onto it whole or not at all, once, under safe names, and are checked coming off."""

import collections
import hashlib
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from foreign_files import BACKBONE, write_mae_file

from medpeft_core.backbones import shelf_adding
from medpeft_core.backbones.build import build_backbone
from medpeft_core.backbones.known_weights import KnownWeights
from medpeft_core.backbones.shelf import ShelfEntry, check_shelf_file, find_on_shelf, list_shelf, shelf_dir, shelf_file
from medpeft_core.backbones.shelf_adding import add_weights, suggest_name
from medpeft_core.errors import BackboneError, MedPeftError
from medpeft_core.registry import Registry


class Stop(BaseException):
    """What a stopped job raises from its progress."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "CXR MAE (1).pth"
    write_mae_file(path)
    return path


def add(home: Path, path: Path, **options: Any) -> dict[str, Any]:
    return add_weights(home=home, source=str(path), **{"backbone": BACKBONE, **options})


def on_disk(home: Path) -> list[str]:
    """Whatever lies on the shelf, half-written files included."""
    return sorted(path.name for path in shelf_dir(home).glob("*") if path.name != ".lock")


def test_add_keeps_the_tensors_and_where_they_came_from(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "CXR MAE (1).pth"
    encoder = write_mae_file(path)
    added = add(home, path, normalisation="cxr_mae", licence="CC BY 4.0", reference="arXiv:2401.12215")
    (entry,) = list_shelf(home)
    assert ShelfEntry.from_dict(added) == entry
    assert (entry.name, entry.source, entry.layout, entry.backbone) == ("cxr-mae-1", path.name, "mae", BACKBONE)
    assert entry.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert entry.sha256 == hashlib.sha256(shelf_file(home, entry.name).read_bytes()).hexdigest()
    assert (entry.mean, entry.std) == ((0.4785,) * 3, (0.2834,) * 3)
    assert (entry.licence, entry.reference) == ("CC BY 4.0", "arXiv:2401.12215")
    assert entry.counts == {"loaded": len(encoder), "dropped": 5} == added["report"]["counts"]
    kept = safetensors.torch.load_file(shelf_file(home, entry.name))
    assert kept.keys() == encoder.keys()
    assert all(torch.equal(kept[name], tensor) for name, tensor in encoder.items())
    check_shelf_file(home, entry)


def test_same_weights_are_added_once(home: Path, file: Path, tmp_path: Path) -> None:
    first = add(home, file)
    again = add(home, file, name="other")
    assert (again["name"], again["was_there"], first["was_there"]) == (first["name"], True, False)
    bare = tmp_path / "bare.safetensors"  # the same tensors in another file
    safetensors.torch.save_file(safetensors.torch.load_file(shelf_file(home, first["name"])), bare)
    assert add(home, bare)["name"] == first["name"]
    assert on_disk(home) == [f"{first['name']}.json", f"{first['name']}.safetensors"]
    other_use = add(home, file, name="other", normalisation="mrm")
    assert (other_use["name"], other_use["was_there"]) == ("other", False)


def test_taken_name_is_refused_with_a_free_one(home: Path, file: Path, tmp_path: Path) -> None:
    name = add(home, file)["name"]
    before = shelf_file(home, name).read_bytes()
    other = tmp_path / "other" / file.name
    other.parent.mkdir()
    write_mae_file(other, seed=1)
    with pytest.raises(BackboneError, match=f"such as '{name}-2'"):
        add(home, other)
    assert shelf_file(home, name).read_bytes() == before
    assert add(home, other, name=f"{name}-2")["was_there"] is False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../evil"}, "no name of weights on the shelf"),
        ({"name": "Capital"}, "no name of weights on the shelf"),
        ({"backbone": ""}, "Say which backbone"),
        ({"backbone": "vit_tinny_patch16_224"}, "Did you mean"),
        ({"backbone": "test_resnet"}, "test_resnet"),
        ({"normalisation": "mrn"}, "Did you mean 'mrm'"),
        ({"layout": "nothing"}, "layout"),
        ({"known": "nothing"}, "known weights"),
    ],
)
def test_refused_choices_leave_nothing(home: Path, file: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(MedPeftError, match=message):
        add(home, file, **options)
    assert on_disk(home) == []


def test_what_is_no_file_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="is a folder"):
        add(home, tmp_path)
    with pytest.raises(BackboneError, match="no weights file"):
        add(home, tmp_path / "none.pth")
    with pytest.raises(BackboneError, match="Say which weights"):
        add_weights(home=home, backbone=BACKBONE)
    torch.save({"model": collections.deque([1])}, tmp_path / "code.pth")
    with pytest.raises(BackboneError, match="cannot be read"):
        add(home, tmp_path / "code.pth")
    assert on_disk(home) == []


def test_uploads_are_called_what_their_sender_called_them(home: Path, file: Path) -> None:
    added = add(home, file, file_name="..\\..\\etc/Meine Gewichte.v2.PTH")
    assert (added["name"], added["source"]) == ("meine-gewichte.v2", "Meine Gewichte.v2.PTH")
    assert [suggest_name(text) for text in ("../..", "a" * 200 + ".pth", "é.bin")] == ["weights", "a" * 64, "weights"]


def test_known_weights_fill_the_rest(home: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[KnownWeights] = Registry("known weights")
    registry.add(
        KnownWeights(
            name="tiny_mae", title="Tiny MAE", description="", backbone=BACKBONE, layout="mae", image_size=160,
            pool="avg", normalisation="mrm", hub_id="", hub_file="", get_it="Ask its authors.", num_bytes=0,
            licence="MIT", reference="arXiv:0000.00000",
        )
    )  # fmt: skip
    monkeypatch.setattr(shelf_adding, "KNOWN_WEIGHTS", registry)
    with pytest.raises(BackboneError, match=r"not on the hub\. Ask its authors\."):
        add_weights(home=home, known="tiny_mae")
    added = add_weights(home=home, source=str(file), known="tiny_mae", licence="CC0")
    assert (added["name"], added["known_as"], added["backbone"]) == ("tiny_mae", "tiny_mae", BACKBONE)
    assert (added["mean"], added["licence"], added["reference"]) == ((0.4978,) * 3, "CC0", "arXiv:0000.00000")


def test_full_disk_is_seen_before_anything_is_written(home: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: collections.namedtuple("Usage", "free")(2**20))
    with pytest.raises(BackboneError, match="but the disk has 1 MiB left"):
        add(home, file)
    assert not home.exists()


def test_stopped_at_any_step_leaves_nothing(home: Path, file: Path) -> None:
    told: list[str] = []
    add(home, file, name="whole", progress=lambda what, done, total: told.append(what))
    for step in range(len(told)):
        calls: list[str] = []

        def stop(what: str, done: int, total: int, calls: list[str] = calls, step: int = step) -> None:
            calls.append(what)
            if len(calls) > step:
                raise Stop

        with pytest.raises(Stop):
            add(home, file, name="half", normalisation="mrm", progress=stop)
        assert on_disk(home) == ["whole.json", "whole.safetensors"]
    assert len(told) >= 4


def test_two_at_once_add_it_once(home: Path, file: Path) -> None:
    """Two people press the button: the second is told that the weights are there, and no file is left over."""
    barrier = threading.Barrier(2)
    results: list[dict[str, Any]] = []

    def meet(what: str, done: int, total: int) -> None:
        if what.startswith("writing") and not total:
            barrier.wait(30)

    def work(name: str) -> None:
        results.append(add(home, file, name=name, progress=meet))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(result["was_there"] for result in results) == [False, True]
    assert len({result["name"] for result in results}) == 1
    assert len(on_disk(home)) == 2


def test_models_begin_with_weights_of_the_shelf(home: Path, tmp_path: Path) -> None:
    encoder = write_mae_file(tmp_path / "mae.pth")
    add(home, tmp_path / "mae.pth", normalisation="mrm")
    backbone = build_backbone(BACKBONE, num_classes=2, pool="token", weights="shelf:mae")
    state = backbone.model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in encoder.items())
    assert (backbone.mean, backbone.std) == ((0.4978,) * 3, (0.2449,) * 3)


def test_changed_and_damaged_entries_are_not_used(home: Path, file: Path) -> None:
    entry = find_on_shelf(home, add(home, file, name="good")["name"])
    path = shelf_file(home, "good")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackboneError, match="has changed since"):
        check_shelf_file(home, entry)
    with pytest.raises(BackboneError, match="has changed since"):
        build_backbone(BACKBONE, num_classes=2, weights="shelf:good")
    path.unlink()
    with pytest.raises(BackboneError, match="is gone"):
        check_shelf_file(home, entry)
    for name, text in (("half", "{"), ("list", "[]"), ("renamed", json.dumps(entry.to_dict()))):
        shelf_file(home, name).write_bytes(b"")
        shelf_file(home, name).with_suffix(".json").write_text(text, encoding="utf-8")
    assert list_shelf(home) == []
    with pytest.raises(BackboneError, match="It is empty"):
        find_on_shelf(home, "good")
