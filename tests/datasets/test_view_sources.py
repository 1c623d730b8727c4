"""Labels that changed are seen wherever their table lies, and no page shows the old ones after preparing again."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from chest_files import make_chexpert
from class_files import make_ham

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import find_view, inspect_dataset, prepare_dataset
from medpeft_core.datasets.view_sources import digest_manifest
from medpeft_core.datasets.views import check_sources, load_view, view_key, view_path


def write_labels(table: Path, positive: int) -> None:
    """60 rows of the films of `make_nih`, those up to a number with a 1."""
    table.parent.mkdir(exist_ok=True)
    names = [f"{patient:08d}_{number:03d}.png" for patient in range(1, 21) for number in range(3)]
    rows = [f"{name},{int(row < positive)},{row // 3}" for row, name in enumerate(names)]
    table.write_text("\n".join(["image,edema,patient", *rows]) + "\n")


@pytest.fixture
def films(make_nih) -> Path:
    root = make_nih()
    (root / "Data_Entry_2017.csv").unlink()
    return root


def own(root: Path, **options: str) -> DataConfig:
    return DataConfig(dataset="table", root=str(root), options=options, cache_size=16)


def count_positive(data: DataConfig) -> int:
    return int(find_view(data).manifest.table["edema"].sum())


@pytest.mark.parametrize("place", ["labels/t.csv", "../t.csv"])
def test_a_table_in_another_folder_is_seen(films, place):
    """The Data page called labels fresh that had been changed, and showed the old ones after preparing again."""
    table = films / place
    write_labels(table, 20)
    data = own(films, table="" if place.startswith("labels") else str(table.resolve()))
    prepare_dataset(data)
    assert check_sources(find_view(data)) == "fresh"
    write_labels(table, 33)
    os.utime(table, (0, 0))
    assert check_sources(find_view(data)) == "changed"
    prepare_dataset(data)
    assert (count_positive(data), check_sources(find_view(data))) == (33, "fresh")


def test_other_labels_renew_a_view_whatever_the_files_say(films):
    """The time and size of the table are as before, as after unpacking another version of it."""
    table = films / "t.csv"
    write_labels(table, 20)
    times = table.stat()
    prepare_dataset(own(films))
    write_labels(table, 33)
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert check_sources(find_view(own(films))) == "fresh"
    prepare_dataset(own(films))
    assert count_positive(own(films)) == 33


def test_readers_name_tables_that_lie_deep_or_have_no_ending(tmp_path):
    chexpert = make_chexpert(tmp_path / "parent").parent
    ham = make_ham(tmp_path / "ham")
    (ham / "HAM10000_metadata.csv").rename(ham / "HAM10000_metadata")
    for name, root, source in (
        ("chexpert", chexpert, "CheXpert-v1.0-small/train.csv"),
        ("ham10000", ham, "HAM10000_metadata"),
    ):
        data = DataConfig(dataset=name, root=str(root), cache_size=16)
        inspect_dataset(data)
        view = find_view(data)
        assert source in view.sources
        os.utime(root / source, (0, 0))
        assert check_sources(view) == "changed"


def test_a_view_of_an_earlier_version_is_shown_and_renewed(films):
    """It knew the tables in the folder itself, and had no digest."""
    write_labels(films / "t.csv", 20)
    (films / "lists").mkdir()
    (films / "lists/val_list.txt").write_text("")
    prepare_dataset(own(films))
    path = view_path(view_key(own(films)))
    kept = pq.read_table(path)
    about = json.loads(kept.schema.metadata[b"medpeft"])
    del about["digest"], about["sources"]["lists/val_list.txt"]
    pq.write_table(kept.replace_schema_metadata({**kept.schema.metadata, b"medpeft": json.dumps(about).encode()}), path)
    old = load_view(view_key(own(films)))
    assert (len(old.manifest), check_sources(old)) == (60, "fresh")
    shutil.copy(films / "t.csv", films / "another.csv")
    assert check_sources(old) == "changed"
    (films / "another.csv").unlink()
    prepare_dataset(own(films))
    assert load_view(view_key(own(films))).digest


def test_digest_is_of_everything_but_the_names_of_patients(make_manifest):
    manifest = make_manifest(["a", "a", "b", "c"])
    table = manifest.table
    same = manifest.with_table(table.assign(patient_id=["x", "x", "y", "z"]))
    assert digest_manifest(same) == digest_manifest(manifest)
    others = [
        manifest.with_table(table.assign(patient_id=["a", "b", "b", "c"])),
        manifest.with_table(table.assign(split="val")),
        manifest.with_table(table.assign(label_0=1.0)),
        manifest.with_table(table.assign(age=50.0)),
        manifest.with_table(table, note="Something was left out."),
        replace(manifest, labels=("other",), table=table.rename(columns={"label_0": "other"})),
    ]
    assert len({digest_manifest(made) for made in (manifest, *others)}) == 7
