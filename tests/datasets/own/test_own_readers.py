"""What holds for all three forms of own data, and what each makes of its folder."""

import numpy as np
import pytest
from own_files import make_folders, make_table, read_own, write_dicom, write_images

from medpeft_core.datasets.manifest import SPLITS
from medpeft_core.datasets.own.propose import propose
from medpeft_core.errors import DataError


def make_form(form, root):
    """A folder of twelve images that a form reads without being told anything."""
    if form == "folder":
        return make_folders(root)
    if form == "table":
        rows = "".join(f"{number:02d}.png,{number % 2},{number // 2}\n" for number in range(12))
        return make_table(root, f"file,mass,patient\n{rows}")
    for number in range(12):
        write_dicom(root / ("a", "b")[number % 2] / f"{number}.dcm", PatientID=f"p{number // 2}", PatientAge="061Y")
    return root


@pytest.mark.parametrize("form", ["folder", "table", "dicom"])
def test_own_readers_keep_the_contract(form, tmp_path):
    root = make_form(form, tmp_path)
    manifest = read_own(form, root)
    manifest.check()
    assert manifest.fingerprint() == read_own(form, root).fingerprint()
    assert len(manifest) == 12
    assert manifest.table["image"].is_monotonic_increasing
    assert all(path.is_file() for path in manifest.paths())
    assert set(manifest.table["split"]) == set(SPLITS)
    assert manifest.notes
    proposal = propose(root)
    assert (proposal.form, proposal.is_usable) == (form, True)
    assert read_own(form, root, **proposal.options).fingerprint() == manifest.fingerprint()
    assert (proposal.labels, proposal.num_images) == (manifest.labels, 12)
    assert proposal.counts == tuple((manifest.targets() == 1).sum(axis=0))


@pytest.mark.parametrize("form", ["folder", "table", "dicom"])
def test_own_readers_refuse_folders_without_images(form, tmp_path):
    (tmp_path / "notes.docx").write_bytes(b"x")
    with pytest.raises(DataError, match="holds no"):
        read_own(form, tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        propose(tmp_path / "gone")
    assert not propose(tmp_path, form=form).is_usable


def test_own_folder_takes_splits_masks_and_patients(tmp_path):
    names = [f"data/{split}/{label}/{number}_x.png" for split in ("Train", "valid", "TEST") for label in ("cat "
        "é", "dog")
             for number in range(3)]  # fmt: skip
    write_images(tmp_path, *names, "data/Train/dog/1_x_mask.png", "__MACOSX/data/x.png", ".hidden/1.png")
    (tmp_path / "data/Train/dog/Thumbs.db").write_bytes(b"x")
    manifest = read_own("folder", tmp_path, patient_pattern="{id}_*")
    assert manifest.labels == ("cat é", "dog")
    assert manifest.table["split"].value_counts().to_dict() == {"train": 6, "val": 6, "test": 6}
    assert manifest.table["mask"].dropna().to_dict() == {
        names.index("data/Train/dog/1_x.png") + 6: "data/Train/dog/1_x_mask.png"
    }
    assert sorted(set(manifest.patient_ids)) == ["0", "1", "2"]
    other = read_own("folder", tmp_path, splits="ignore")
    assert not other.has_patients
    assert other.table["split"].tolist() != manifest.table["split"].tolist()


def test_own_folder_takes_splits_below_the_classes_and_draws_what_is_missing(tmp_path):
    names = [
        f"{label}/{split}/{number}.png" for label in ("a", "b") for split in ("train", "test") for number in range(8)
    ]
    write_images(tmp_path, *names)
    manifest = read_own("folder", tmp_path)
    assert manifest.labels == ("a", "b")
    assert (manifest.table["split"] == "test").sum() == 16
    assert (manifest.table["split"] == "val").sum() == 2
    assert "val is an eighth of train by image, seed 0; the folders gave none." in manifest.notes


@pytest.mark.parametrize(
    ("classes", "grades"),
    [
        (("severe", "mild", "normal"), ("normal", "mild", "severe")),
        (("3", "0", "2", "1"), ("0", "1", "2", "3")),
        (("Stage II", "stage IV", "stage III", "stage I"), ("stage I", "Stage II", "stage III", "stage IV")),
        (("cat", "dog", "mild"), None),
        (("0", "7", "9"), None),
    ],
)
def test_own_folder_sees_grades(tmp_path, classes, grades):
    make_folders(tmp_path, count=2, classes=classes)
    manifest = read_own("folder", tmp_path)
    assert manifest.is_ordered == (grades is not None)
    assert manifest.labels == (grades or tuple(sorted(classes)))
    assert not read_own("folder", tmp_path, ordered="-").is_ordered
    given = tuple(reversed(manifest.labels))
    assert read_own("folder", tmp_path, ordered=",".join(given)).labels == given
    with pytest.raises(DataError, match="Name each class once"):
        read_own("folder", tmp_path, ordered="cat,mild")


def test_own_folder_refuses_one_class_and_images_without_classes(tmp_path):
    write_images(tmp_path, "only/1.png", "only/2.png", "only/3.png")
    with pytest.raises(DataError, match="one class only, 'only'"):
        read_own("folder", tmp_path)
    write_images(tmp_path / "flat", "1.png", "2.png")
    with pytest.raises(DataError, match="lie in no folders of classes"):
        read_own("folder", tmp_path / "flat")


def test_own_folder_reads_two_thousand_classes_and_names_like_columns(tmp_path):
    for number in range(2001):
        (tmp_path / "many" / f"c{number}").mkdir(parents=True)
        (tmp_path / "many" / f"c{number}" / "1.png").write_bytes(b"x")
    with pytest.raises(DataError, match="has 2,001 classes; at most 2,000 are learned"):
        read_own("folder", tmp_path / "many")
    (tmp_path / "many" / "c7" / "1.png").unlink()
    manifest = read_own("folder", tmp_path / "many")
    assert len(manifest.labels) == 2000
    assert manifest.labels[:3] == ("c0", "c1", "c2")
    write_images(tmp_path / "odd", "split/1.png", "split/2.png", "image/3.png")
    manifest = read_own("folder", tmp_path / "odd")
    assert manifest.labels == ("image (label)", "split (label)")
    assert manifest.targets().sum(axis=0).tolist() == [1, 2]


def test_own_folder_leaves_links_that_lead_outside(tmp_path):
    root = make_folders(tmp_path / "in")
    write_images(tmp_path / "out", "1.png")
    (root / "ill" / "out.png").symlink_to(tmp_path / "out" / "1.png")
    (root / "more").symlink_to(tmp_path / "out", target_is_directory=True)
    (root / "ill" / "again.png").symlink_to(root / "ill" / "i00_0.png")
    (root / "ill" / "loop").symlink_to(root, target_is_directory=True)
    manifest = read_own("folder", root)
    assert len(manifest) == 13
    assert any("2 links lead out of the folder, for example ill/out.png, more" in note for note in manifest.notes)


def test_own_folder_counts_no_image_twice_where_a_link_leads_to_its_folder(tmp_path):
    """With a link C -> A every image of A was there twice, as A and as C."""
    root = make_folders(tmp_path / "in", classes=("a", "b", "kept"))
    (root / ".data").mkdir()
    (root / "kept").rename(root / ".data" / "c")
    (root / "again").symlink_to(root / "a", target_is_directory=True)
    for name in ("c", "d"):
        (root / name).symlink_to(root / ".data" / "c", target_is_directory=True)
    manifest = read_own("folder", root)
    assert len(manifest) == 18
    assert manifest.labels in (("a", "b", "c"), ("a", "b", "d"))
    assert any("1 links lead to folders that were seen anyway, for example again;" in note for note in manifest.notes)


def test_own_folder_tells_masks_from_a_class_called_mask(tmp_path):
    write_images(tmp_path / "faces", "mask/1.png", "mask/2.png", "no_mask/3.png", "no_mask/4.png")
    assert read_own("folder", tmp_path / "faces").targets().sum(axis=0).tolist() == [2, 2]
    names = [f"{label}/{number}.png" for label in ("ill", "well") for number in range(3)]
    write_images(tmp_path / "films", *names, "ill/masks/0.png", "ill/masks/1.png")
    manifest = read_own("folder", tmp_path / "films")
    assert len(manifest) == 6
    assert manifest.table.set_index("image")["mask"].dropna().to_dict() == {
        "ill/0.png": "ill/masks/0.png", "ill/1.png": "ill/masks/1.png",
    }  # fmt: skip


def test_own_dicom_takes_labels_from_attributes_folders_and_tables(tmp_path):
    root = make_form("dicom", tmp_path / "films")
    for number in range(4):
        write_dicom(root / "a" / f"more{number}", PatientID=f"q{number}", StudyDate="20190331", ViewPosition="AP",
                    SOPInstanceUID=f"1.2.3.{number}", AccessionNumber=f"A{number}")  # fmt: skip
    write_dicom(root / "a" / "plan.dcm", pixels=None, PatientID="p1")
    (root / "a" / "broken.dcm").write_bytes(b"no DICOM at all")
    by_folder = read_own("dicom", root)
    assert (len(by_folder), by_folder.labels) == (16, ("a", "b"))
    assert by_folder.table["patient_id"].nunique() == 10
    assert by_folder.table["age"].dropna().unique().tolist() == [61.0]
    assert any("1 DICOM files hold no picture" in note for note in by_folder.notes)
    assert any("a/broken.dcm (" in note for note in by_folder.notes)
    by_tag = read_own("dicom", root, tag="PatientID")
    assert len(by_tag.labels) == 10
    with pytest.raises(DataError, match="one class only, 'AP'"):
        read_own("dicom", root, tag="ViewPosition")
    for tag in ("PixelData", "PatientName", "Nonsense"):
        with pytest.raises(DataError, match="must be the keyword"):
            read_own("dicom", root, tag=tag)
    for column, values in {
        "uid": [f"1.2.3.{number}" for number in range(4)], "accession": [f"A{number}" for number in range(4)],
        "who": [f"q{number}" for number in range(4)], "file": [f"more{number}" for number in range(4)],
    }.items():  # fmt: skip
        lines = [f"{value},{('ill', 'well')[row % 2]}" for row, value in enumerate(values)]
        (root / "labels.csv").write_text("\n".join([f"{column},label", *lines]))
        manifest = read_own("dicom", root)
        assert manifest.table["image"].tolist() == [f"a/more{number}" for number in range(4)]
        assert manifest.table["ill"].tolist() == [1, 0, 1, 0]
        assert manifest.table["view"].tolist() == ["AP"] * 4
        assert manifest.table["date"].tolist() == ["2019-03-31"] * 4


def test_own_dicom_gives_all_images_of_a_patient_the_label_of_its_row(tmp_path):
    root = make_form("dicom", tmp_path / "films")
    lines = [f"p{number},{number % 2}" for number in range(6)]
    (root / "labels.csv").write_text("\n".join(["patient_id,mass", *lines]))
    manifest = read_own("dicom", root)
    assert len(manifest) == 12
    expected = [int(patient[1:]) % 2 for patient in manifest.patient_ids]
    np.testing.assert_array_equal(manifest.targets()[:, 0], expected)
    assert any("6 rows of the table name 12 images by PatientID" in note for note in manifest.notes)


def test_own_dicom_passes_over_a_table_about_something_else(tmp_path):
    """Any CSV file below the folder ended the reading."""
    root = make_form("dicom", tmp_path / "films")
    (root / "devices.csv").write_text("device,room\nxr1,west\nxr2,east\n")
    manifest, proposal = read_own("dicom", root), propose(root)
    assert manifest.labels == proposal.labels == ("a", "b")
    for notes in (manifest.notes, [finding.text for finding in proposal.findings]):
        assert any("so these were passed over: devices.csv." in note for note in notes)
    assert (proposal.form, proposal.tables, proposal.options) == ("dicom", ("devices.csv",), {})
    with pytest.raises(DataError, match=r"No column of .*devices.csv (names the images|looks like labels)"):
        read_own("dicom", root, table="devices.csv")
    paths = sorted(root.rglob("*.dcm"))
    names = "".join(f"{path.stem},{('mass', 'none')[number % 2]}\n" for number, path in enumerate(paths))
    (root / "zz.csv").write_text(f"file,dx\n{names}")
    assert read_own("dicom", root).labels == propose(root).labels == ("mass", "none")
    for path in (root / "zz.csv", *root.glob("b/*")):
        path.unlink()
    for path in root.glob("a/*"):
        path.rename(root / path.name)
    with pytest.raises(DataError, match=r"Nothing tells the labels .* passed over: devices.csv\."):
        read_own("dicom", root)


def test_own_dicom_says_what_is_missing(tmp_path):
    for number in range(3):
        write_dicom(tmp_path / f"{number}.dcm", ViewPosition=("AP", "PA")[number % 2])
    proposal = propose(tmp_path)
    assert (proposal.form, proposal.offers, proposal.is_usable) == ("dicom", {"tag": "ViewPosition"}, False)
    assert "Nothing tells the labels of the 3 DICOM files" in proposal.findings[0].text
    assert propose(tmp_path, options=proposal.offers).labels == ("AP", "PA")


def test_own_forms_bring_patients_of_dicom_files_along(tmp_path):
    root = make_form("dicom", tmp_path / "films")
    assert read_own("folder", root).table["patient_id"].nunique() == 6
    rows = "".join(f"{number}.dcm,{number % 3}\n" for number in range(12))
    (root / "t.csv").write_text(f"file,grade\n{rows}")
    manifest = read_own("table", root)
    assert (manifest.table["patient_id"].nunique(), manifest.is_ordered) == (6, True)
