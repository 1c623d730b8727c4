"""Reading MIMIC-CXR-JPG: packed tables and unpacked ones, its split and views, marks of doubt, partial downloads."""

import shutil

import numpy as np
import pytest
from chest_files import FIVE, edit, read, write_image
from more_chest_files import make_mimic

from medpeft_core.datasets.mimic_cxr_jpg import MimicCxrOptions
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.datasets.splits import find_patient_overlap
from medpeft_core.errors import DataError


@pytest.fixture
def root(tmp_path):
    return make_mimic(tmp_path / "mimic")


def test_mimic_reads_split_views_and_labels(root):
    manifest = read("mimic_cxr_jpg", root)
    assert manifest.labels == FIVE
    assert manifest.table["split"].value_counts().to_dict() == {"train": 12, "val": 4, "test": 4}
    assert manifest.table["view"].value_counts().to_dict() == {"PA": 10, "AP": 10}
    assert not find_patient_overlap(manifest.table)
    first = manifest.table.iloc[0]
    assert first["image"].startswith("files/p10/p10000032/s50000000/")
    assert (first["patient_id"], first["split"]) == ("10000032", "train")
    assert "date" not in manifest.table
    assert "The dates of MIMIC-CXR are shifted for each patient, so there is no date to split by." in manifest.notes
    assert "10 of 30 images of the tables are no frontal films (AP or PA) or have no view; they were left out." in (
        manifest.notes
    )
    everything = read("mimic_cxr_jpg", root, views="all", labels="all")
    assert (len(everything), len(everything.labels)) == (30, 14)
    assert everything.labels[8] == "No Finding"


@pytest.mark.parametrize(
    ("options", "targets"),
    [
        ({"uncertain": "papers"}, [1, 0, 0, 1, 0]),
        ({"uncertain": "zeros"}, [1, 0, 0, 0, 0]),
        ({"uncertain": "ones"}, [1, 0, 1, 1, 0]),
        ({"uncertain": "ignore"}, [1, 0, np.nan, np.nan, 0]),
        ({"labeler": "negbio"}, [0, 0, 0, 1, 0]),
    ],
)
def test_mimic_turns_doubt_into_targets(root, options, targets):
    manifest = read("mimic_cxr_jpg", root, **options)
    np.testing.assert_array_equal(manifest.targets(), np.tile(np.float32(targets), (20, 1)))


def test_mimic_reads_packed_tables_alike(tmp_path, root):
    packed = make_mimic(tmp_path / "packed", packed=True)
    assert read("mimic_cxr_jpg", packed).table.equals(read("mimic_cxr_jpg", root).table)
    table = packed / "mimic-cxr-2.0.0-split.csv.gz"
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"split\.csv\.gz is cut off or damaged .* Get it again"):
        read("mimic_cxr_jpg", packed)


def test_mimic_reads_a_part_and_tells_what_is_missing(root):
    shutil.rmtree(root / "files/p11")
    write_image(root / "files/p10/p10999999/s59999999/unknown.jpg")
    manifest = read("mimic_cxr_jpg", root)
    assert len(manifest) == 10
    assert "10 of 20 images are not on disk; they were left out." in manifest.notes
    assert "1 image file on disk is not in the label table and was left out." in manifest.notes
    parts = {part.title: part for part in DATASETS["mimic_cxr_jpg"].inspect(root, MimicCxrOptions())}
    assert parts["files/"].detail == "1 of 10 parts, 6 patients' folders"
    assert parts["mimic-cxr-2.0.0-chexpert.csv"].is_there
    shutil.rmtree(root / "files")
    with pytest.raises(DataError, match="None of the 20 images of the label table is in"):
        read("mimic_cxr_jpg", root)
    (root / "mimic-cxr-2.0.0-negbio.csv").unlink()
    missing = [
        part.title
        for part in DATASETS["mimic_cxr_jpg"].inspect(root, MimicCxrOptions(labeler="negbio"))
        if not part.is_there
    ]
    assert missing == ["mimic-cxr-2.0.0-negbio.csv.gz", "files/"]


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        (
            "split",
            ",validate\n",
            ",holdout\n",
            r"Line 11 of .*split\.csv has the split 'holdout', but it must be train, ",
        ),
        ("chexpert", ",1.0,", ",-2,", r"Line 2 of .*chexpert\.csv has Atelectasis '-2', but it must be one of"),
        ("chexpert", ",50000005,", ",50000000,", r"Line 3 of .* names the study 50000000 again"),
        ("chexpert", ",5000", ",6000", "None of the studies of .* is in the split table"),
        ("metadata", "ViewPosition", "View", "lacks the column ViewPosition"),
    ],
)
def test_mimic_refuses_odd_tables(root, table, old, new, message):
    edit(root / f"mimic-cxr-2.0.0-{table}.csv", old, new)
    with pytest.raises(DataError, match=message):
        read("mimic_cxr_jpg", root)


def test_mimic_leaves_out_studies_without_labels(root):
    path = root / "mimic-cxr-2.0.0-chexpert.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    manifest = read("mimic_cxr_jpg", root)
    assert len(manifest) == 19
    assert "1 images have no labels in mimic-cxr-2.0.0-chexpert.csv; they were left out." in manifest.notes
