"""Reading SMDG-19: its paths, suspects, sources, and the patients that only some of its sources tell."""

import numpy as np
import pandas as pd
import pytest
from class_files import edit, find_parts, make_smdg, read, save

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.datasets.splits import find_patient_overlap, is_doubt
from medpeft_core.errors import DataError
from medpeft_core.explain.marks import find_marks

TABLE = "metadata - standardized.csv"


def by_name(manifest):
    return manifest.table.set_index(manifest.table["image"].str.extract(r"([^/]+)\.png$")[0])


def test_smdg_reads_photographs_people_and_sources(tmp_path):
    manifest = read("smdg", make_smdg(tmp_path / "smdg"))
    assert (manifest.labels, manifest.task, len(manifest)) == (("Glaucoma",), "multilabel", 52)
    table = by_name(manifest)
    row = table.loc["OIA-ODIR-TRAIN-1"]
    assert (row["site"], row["age"], row["sex"], row["laterality"]) == ("OIA-ODIR-TRAIN", 58, "F", "L")
    assert row["image"] == "full-fundus/full-fundus/OIA-ODIR-TRAIN-1.png"
    assert set(table["site"]) == {"OIA-ODIR-TRAIN", "EyePACS-AIROGS", "PAPILA", "sjchoi86-HRF"}
    assert manifest.targets().sum() == 24 + 8


def test_smdg_keeps_both_eyes_of_a_patient_together(tmp_path):
    """The table tells patients of few sources; the names of the others hold them."""
    manifest = read("smdg", make_smdg(tmp_path / "smdg"))
    table = by_name(manifest)
    assert table.loc["OIA-ODIR-TRAIN-0", "patient_id"] == table.loc["OIA-ODIR-TRAIN-1", "patient_id"]
    assert table.loc["PAPILA-0", "patient_id"] == table.loc["PAPILA-1", "patient_id"] == "PAPILA/2"
    assert table.loc["EyePACS-AIROGS-0", "patient_id"] == "EyePACS-AIROGS-0.png"
    assert not find_patient_overlap(manifest.table)
    note = next(note for note in manifest.notes if note.startswith("The patient is told for 27 of 52"))
    assert is_doubt(note)


def test_smdg_has_no_patients_where_none_is_told(tmp_path):
    root = make_smdg(tmp_path / "smdg")
    edit(root / TABLE, "original_name", "other")
    manifest = read("smdg", root)
    assert not manifest.has_patients
    assert manifest.table["split"].value_counts().to_dict() == {"train": 36, "test": 10, "val": 6}
    assert "Split by image, since no patient is told, 70/10/20, seed 0; SMDG has no split of its own." in manifest.notes
    edit(root / TABLE, "EyePACS-AIROGS-3,,,", "EyePACS-AIROGS-3,,7,")
    assert by_name(read("smdg", root)).loc["EyePACS-AIROGS-3", "patient_id"] == "EyePACS-AIROGS/7"


@pytest.mark.parametrize(
    ("suspects", "num_images", "num_positive"),
    [("leave_out", 52, 32), ("glaucoma", 53, 33), ("healthy", 53, 32)],
)
def test_smdg_counts_suspects_as_asked(tmp_path, suspects, num_images, num_positive):
    manifest = read("smdg", make_smdg(tmp_path / "smdg"), suspects=suspects)
    assert (len(manifest), manifest.targets().sum()) == (num_images, num_positive)
    assert any(note.startswith("Photographs of suspects (1) ") for note in manifest.notes)


def test_smdg_names_sources_with_one_class(tmp_path):
    """All photographs of EyePACS-AIROGS have glaucoma: its camera would be enough."""
    notes = " ".join(read("smdg", make_smdg(tmp_path / "smdg")).notes)
    assert "One class alone comes from EyePACS-AIROGS (24 with glaucoma): a model can tell by the camera." in notes


def test_smdg_marks_the_optic_disc_or_cup(tmp_path):
    root = make_smdg(tmp_path / "smdg")
    image = "full-fundus/full-fundus/OIA-ODIR-TRAIN-0.png"
    rows = {}
    for masks in ("disc", "cup"):
        mark = find_marks(read("smdg", root, masks=masks), image, (20, 20))[0]
        rows[masks] = np.flatnonzero(mark.inside.any(axis=1)).tolist()
    assert rows == {"disc": list(range(2, 9)), "cup": list(range(2, 6))}
    manifest = read("smdg", root)
    assert by_name(manifest).loc[["sjchoi86-HRF-1", "PAPILA-0"], "mask"].isna().all()
    assert "mask" not in read("smdg", root, masks="none").table


def test_smdg_prepares(tmp_path):
    root = make_smdg(tmp_path / "smdg")
    prepared = prepare_dataset(DataConfig(dataset="smdg", root=str(root), cache_size=16))
    assert prepared.cache.num_images == 52
    assert "/" not in "".join(prepared.manifest.table["patient_id"])


def test_smdg_finds_photographs_in_a_flat_folder_and_by_name_alone(tmp_path):
    """A path of the table is looked up by its last part, so none leads out of the folder."""
    root = make_smdg(tmp_path / "smdg")
    usual = read("smdg", root)
    for path in (root / "full-fundus/full-fundus").iterdir():
        path.rename(root / "full-fundus" / path.name)
    edit(root / TABLE, "/full-fundus/PAPILA-1.png", "/../../PAPILA-1.png")
    save(tmp_path / "PAPILA-1.png")
    flat = read("smdg", root)
    assert flat.table["image"].str.startswith("full-fundus/").all()
    assert flat.table["Glaucoma"].tolist() == usual.table["Glaucoma"].tolist()
    (root / "full-fundus/PAPILA-1.png").unlink()
    save(root / "full-fundus/new one [2].png")
    notes = read("smdg", root).notes
    assert "1 of 52 images are not on disk; they were left out." in notes
    assert "1 image file on disk is not in the label table and was left out." in notes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\n1,/full-fundus/EyePACS-AIROGS-0.png", "\n2,/full-fundus/EyePACS-AIROGS-0.png",
         r"Line 22 of .* has types '2', but it must be one of -1, 0, 1"),
        ("\n0,/full-fundus/PAPILA-1.png", "\n0,/full-fundus/EyePACS-AIROGS-0.png",
         r"Lines 22 and 47 of .* disagree on types of '/full-fundus/EyePACS-AIROGS-0\.png': '1' and '0'"),
        ("types,fundus", "type,fundus", "lacks the column types"),
    ],
)  # fmt: skip
def test_smdg_refuses_odd_rows_with_their_line(tmp_path, old, new, message):
    root = make_smdg(tmp_path / "smdg")
    edit(root / TABLE, old, new)
    with pytest.raises(DataError, match=message):
        read("smdg", root)


def test_smdg_tolerates_a_byte_order_mark_and_photographs_without_a_type(tmp_path):
    root = make_smdg(tmp_path / "smdg")
    path = root / TABLE
    clean = read("smdg", root)
    path.write_bytes(("\ufeff" + path.read_text().replace("\n", "\r\n")).encode())
    pd.testing.assert_frame_equal(read("smdg", root).table, clean.table)
    edit(path, "\n0,/full-fundus/sjchoi86-HRF-1.png", "\n,/full-fundus/sjchoi86-HRF-1.png")
    assert "Photographs without a type in the table (1) were left out." in read("smdg", root).notes
    path.rename(root / "other.csv")
    with pytest.raises(DataError, match=r"holds neither metadata - standardized\.csv nor .* It should hold 'metadata"):
        read("smdg", root)


def test_smdg_inspects_its_folder(tmp_path):
    assert find_parts("smdg", tmp_path / "nowhere") == {}
    parts = find_parts("smdg", make_smdg(tmp_path / "smdg"))
    assert (parts["full-fundus"], parts["optic-cup"]) == ("53 of 12,449 images", "20 of 2,874 images; for Explain")
    needed = [part.title for part in DATASETS["smdg"].inspect(tmp_path, DATASETS["smdg"].options()) if part.is_needed]
    assert needed == [TABLE, "full-fundus"]
