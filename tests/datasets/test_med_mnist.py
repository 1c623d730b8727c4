"""MedMNIST: look-alike .npz files come out as manifests and PNG files, and files that lie are refused."""

import io
import os
import struct
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from web_server import LOCAL, serve

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS, med_mnist
from medpeft_core.datasets.fetching import fetch_data, find_offer
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.med_mnist_facts import SIZES, TITLES, find_facts
from medpeft_core.datasets.prepare import find_prepared, prepare_dataset
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.splits import UNCHECKED_NOTE
from medpeft_core.errors import DataError
from medpeft_core.sections import build_part

COUNTS = {"train": 5, "val": 3, "test": 4}


@pytest.fixture(autouse=True)
def user_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ~/.medmnist would be."""
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


def make_arrays(name: str, size: str = "28", **changes: Any) -> dict[str, np.ndarray]:
    """The six arrays of a small .npz file of that set."""
    facts, rng = find_facts(name, size), np.random.default_rng(0)
    shape = (facts.side, facts.side) if facts.channels == 1 else (facts.side, facts.side, 3)
    columns = len(facts.labels) if name == "chestmnist" else 1
    arrays = {}
    for split, count in COUNTS.items():
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, *shape), np.uint8)
        labels = np.arange(count * columns).reshape(count, columns) % (2 if columns > 1 else len(facts.labels))
        arrays[f"{split}_labels"] = labels.astype(np.uint8)
    return arrays | changes


def write(path: Path, arrays: dict[str, np.ndarray], *, pack: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if pack else np.savez)(path, **arrays)
    return path


def read(root: Path | None, **options: Any) -> Manifest:
    spec = DATASETS["medmnist"]
    chosen = build_part(spec.options, {"size": "28", **options}, section="data")
    return spec.read_manifest(root, chosen, split_seed=0, progress=ignore_progress)


@pytest.mark.parametrize(
    ("name", "task", "is_ordered"),
    [("bloodmnist", "multiclass", False), ("pneumoniamnist", "multiclass", False), ("chestmnist", "multilabel", False),
     ("retinamnist", "multiclass", True)],
)  # fmt: skip
def test_each_task_gives_its_manifest_and_the_very_pixels(tmp_path, name, task, is_ordered):
    arrays = make_arrays(name)
    manifest = read(write(tmp_path / f"{name}.npz", arrays, pack=name != "bloodmnist"), name=name)
    facts = find_facts(name, "28")
    assert (manifest.task, manifest.is_ordered, manifest.labels) == (task, is_ordered, facts.labels)
    assert manifest.table["split"].value_counts().to_dict() == COUNTS
    assert not manifest.has_patients
    for split in COUNTS:
        part = manifest.split(split)
        pixels = np.stack([np.asarray(Image.open(path)) for path in part.paths()])
        np.testing.assert_array_equal(pixels, arrays[f"{split}_images"])
        labels = arrays[f"{split}_labels"]
        expected = labels if task == "multilabel" else np.eye(len(facts.labels))[labels[:, 0]]
        np.testing.assert_array_equal(part.targets(), expected)
    assert "5 of 11,959 train" in manifest.notes[1] if name == "bloodmnist" else "another MD5" in manifest.notes[1]


def test_prepare_works_offline_from_the_package_s_folder_and_says_what_cannot_be_checked(user_home):
    """A set at 64 pixels whose file the package has put into ~/.medmnist."""
    write(user_home / ".medmnist" / "breastmnist_64.npz", make_arrays("breastmnist", "64"))
    data = DataConfig(dataset="medmnist", options={"name": "breastmnist", "size": "64"}, cache_size=64)
    assert find_prepared(data) is None
    prepared = prepare_dataset(data)
    assert prepared.manifest.labels == ("malignant", "normal, benign")
    assert UNCHECKED_NOTE in prepared.manifest.notes
    assert prepared.manifest.image_root.name == "medmnist-breastmnist-64"
    (user_home / ".medmnist" / "breastmnist_64.npz").unlink()
    again = find_prepared(data)
    assert again is not None, "the images are enough"
    assert again.fingerprint == prepared.fingerprint


def test_images_of_another_file_do_not_take_the_place_of_the_first(tmp_path):
    first = read(write(tmp_path / "a" / "octmnist.npz", make_arrays("octmnist")), name="octmnist")
    other = make_arrays("octmnist")
    other["train_images"] = 255 - other["train_images"]
    second = read(write(tmp_path / "b" / "octmnist.npz", other).parent, name="octmnist")
    assert first.image_root != second.image_root
    assert not np.array_equal(np.asarray(Image.open(first.paths()[0])), np.asarray(Image.open(second.paths()[0])))


def test_a_stop_while_images_are_written_leaves_nothing(tmp_path, home):
    source = write(tmp_path / "octmnist.npz", make_arrays("octmnist"))
    spec = DATASETS["medmnist"]
    options = build_part(spec.options, {"name": "octmnist", "size": "28"}, section="data")

    def stop(what: str, done: int, total: int) -> None:
        if what == "writing images" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spec.read_manifest(source, options, split_seed=0, progress=stop)
    assert [path.name for path in (home / "datasets").iterdir() if path.is_dir()] == []
    assert not spec.is_present(source, options, split_seed=0)
    assert len(read(source, name="octmnist")) == 12
    assert spec.is_present(source, options, split_seed=0)


def test_two_programs_write_the_same_images_once(tmp_path):
    source = write(tmp_path / "octmnist.npz", make_arrays("octmnist"))
    results: list[Manifest] = []
    threads = [threading.Thread(target=lambda: results.append(read(source, name="octmnist"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({manifest.image_root for manifest in results}) == 1
    assert len(results) == 3


def with_shape(array: np.ndarray, shape: tuple[int, ...]) -> bytes:
    """An array whose header tells of another shape than its content has."""
    buffer = io.BytesIO()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + array.tobytes()


def rewrite(path: Path, name: str, content: bytes) -> None:
    """Replace one member of an .npz file."""
    with zipfile.ZipFile(path) as old:
        members = {item: old.read(item) for item in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for item, value in (members | {f"{name}.npy": content}).items():
            new.writestr(item, value)


HOSTILE = {
    "missing": (lambda arrays: {"val_images": None}, "it holds no val_images"),
    "objects": (lambda arrays: {"train_labels": np.array([[None]] * 5, dtype=object)}, "Python objects"),
    "text": (lambda arrays: {"train_labels": np.array([["a"]] * 5)}, "train_labels holds <U1 of shape"),
    "wrong size": (lambda arrays: {"test_images": arrays["test_images"][:, :20]}, r"shape \(20, 28, 3\)"),
    "float images": (lambda arrays: {"test_images": arrays["test_images"] / 255}, "float64"),
    "fewer labels": (lambda arrays: {"val_labels": arrays["val_labels"][:1]}, r"uint8 of shape \(1, 1"),
    "unknown class": (lambda arrays: {"val_labels": arrays["val_labels"] + 8}, "holds 8, but labels go from"),
    "empty": (lambda arrays: {"val_images": arrays["val_images"][:0]}, "states the shape"),
    "columns first": (lambda arrays: {"val_images": np.asfortranarray(arrays["val_images"])}, "states the shape"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_another_content_is_refused_with_its_reason(tmp_path, kind):
    change, reason = HOSTILE[kind]
    arrays = make_arrays("bloodmnist")
    arrays = {name: value for name, value in (arrays | change(arrays)).items() if value is not None}
    path = write(tmp_path / "bloodmnist.npz", arrays)
    with pytest.raises(DataError, match=rf"is not BloodMNIST at 28 pixels: .*{reason}.* Get bloodmnist\.npz anew"):
        read(path, name="bloodmnist")


def test_sizes_that_are_only_claimed_are_refused_before_anything_is_made_of_them(tmp_path):
    """A header of petabytes, an archive whose directory lies, one member of zeros that unpacks to gigabytes."""
    arrays = make_arrays("bloodmnist")
    path = write(tmp_path / "bloodmnist.npz", arrays)
    rewrite(path, "train_images", with_shape(arrays["train_images"], (10**12, 28, 28, 3)))
    with pytest.raises(DataError, match="which is not what it holds"):
        read(path, name="bloodmnist")
    rewrite(path, "train_images", with_shape(np.zeros((20_000, 28, 28, 3), np.uint8), (20_000, 28, 28, 3)))
    with pytest.raises(DataError, match="20,000 images, more than 11,959"):
        read(path, name="bloodmnist")
    rewrite(path, "train_images", with_shape(arrays["train_images"], (-5, 28, 28, 3)))
    with pytest.raises(DataError, match="states the shape"):
        read(path, name="bloodmnist")


def test_damaged_files_are_refused(tmp_path):
    arrays = make_arrays("bloodmnist")
    path = write(tmp_path / "bloodmnist.npz", arrays, pack=False)
    content = path.read_bytes()
    place = content.index(arrays["val_images"].tobytes()[:64])
    path.write_bytes(content[:place] + b"\0" * 64 + content[place + 64 :])
    with pytest.raises(DataError, match="val_images is damaged"):
        read(path, name="bloodmnist")
    for broken in (b"", b"no zip", content[: len(content) // 2]):
        path.write_bytes(broken)
        with pytest.raises(DataError, match="it cannot be opened"):
            read(path, name="bloodmnist")
    entry = content.index(b"PK\x01\x02")
    path.write_bytes(content[:entry] + struct.pack("<4sHHH", b"PK\x01\x02", 20, 20, 1) + content[entry + 10 :])
    with pytest.raises(DataError, match="encrypted"):
        read(path, name="bloodmnist")


def test_a_missing_file_is_named_with_the_places_and_what_to_do(tmp_path, user_home, home):
    with pytest.raises(DataError, match=r"octmnist_224\.npz is not there: looked for in .*\.medmnist\. Download it"):
        read(None, name="octmnist", size="224")
    with pytest.raises(DataError, match=r"octmnist\.npz is not there: looked for in /nowhere"):
        read(Path("/nowhere"), name="octmnist")
    assert not (user_home / ".medmnist").exists(), "looking makes nothing"
    assert not home.exists()


def test_the_card_tells_what_is_there(user_home):
    spec = DATASETS["medmnist"]
    options = build_part(spec.options, {"name": "octmnist", "size": "28"}, section="data")
    before = spec.inspect(None, options)
    assert [(part.is_there, part.is_needed) for part in before] == [(False, True), (False, False)]
    assert "not in" in before[0].detail
    write(user_home / ".medmnist" / "octmnist.npz", make_arrays("octmnist"))
    assert spec.offer(None, options).is_there
    assert spec.inspect(None, options)[0].is_there
    read(None, name="octmnist")
    assert [part.is_there for part in spec.inspect(None, options)] == [True, True]


def test_fetch_brings_the_file_checked_and_only_once(tmp_path, home, monkeypatch):
    content = write(tmp_path / "made.npz", make_arrays("breastmnist")).read_bytes()
    facts = find_facts("breastmnist", "28")
    with serve() as site:
        site.files["/breastmnist.npz?download=1"] = content
        values = {**vars(facts), "url": f"{site.address}/breastmnist.npz?download=1"}
        monkeypatch.setattr(med_mnist, "RULES", LOCAL)
        monkeypatch.setattr(med_mnist, "find_facts", lambda *_: type(facts)(**values))
        fetch = {"dataset": "medmnist", "root": None, "options": {"size": "28"}, "progress": ignore_progress}
        with pytest.raises(DataError, match="is not the file that was announced"):
            fetch_data(**fetch)
        values["md5"] = med_mnist.compute_md5(tmp_path / "made.npz", ignore_progress)
        assert fetch_data(**fetch) == {"dataset": "medmnist", "root": None, "options": {"size": "28"}}
        assert (home / "datasets" / "medmnist" / "breastmnist.npz").read_bytes() == content
        fetch_data(**fetch)
        assert len(site.asked) == 2, "it is there"
    assert find_offer("medmnist", None, {"size": "28"}).is_there
    assert len(read(None).notes) == 1, "a file of that MD5 is the published one"
    with pytest.raises(DataError, match="into the lab's own folder"):
        fetch_data(**(fetch | {"root": str(tmp_path)}))


@pytest.mark.parametrize("name", TITLES)
def test_the_package_knows_every_set_at_every_size(name):
    for size in SIZES:
        facts = find_facts(name, size)
        assert facts.title.lower() == name
        assert len(facts.md5) == 32
        assert facts.url.startswith("https://zenodo.org/")
        assert facts.url.endswith(f"{facts.file_name}?download=1")
        assert 2 <= len(facts.labels) <= 14
        assert set(facts.num_images) == {"train", "val", "test"}
        assert facts.licence.startswith("CC BY")
    assert not os.path.exists(os.path.expanduser("~/.medmnist")), "reading the table does not run the package"
