"""What a column is for, by its name and what it holds, and how people correct it."""

import pytest
from own_files import make_folders, make_table, read_own, write_images

from medpeft_core.datasets.own.cells import rank_grades
from medpeft_core.datasets.own.options import join_names, split_names
from medpeft_core.datasets.own.propose import propose
from medpeft_core.errors import DataError

ODD = """\
Bild-Datei;PatNr;Patient;Alter (Jahre);Sex;Note;Erguß;Tumor;Größe in cm;leer;Modell;Set
"""


@pytest.fixture
def odd(tmp_path):
    """A table with column names that nobody foresaw."""
    rows = [
        f"{number:02d};{number};P{number // 2};{40 + number};{'mw'[number % 2]};text {number};{number % 2};"
        f"{('', '-1', '1')[number % 3]};{number / 7:.2f};;X1;{('train', 'valid', 'test')[number % 3]}\n"
        for number in range(30)
    ]
    return make_table(tmp_path, ODD + "".join(rows), images=30, encoding="cp1252")


def roles_of(proposal):
    return {column.name: column.role for column in proposal.columns}


def test_own_proposal_tells_the_role_of_every_column_and_why(odd):
    proposal = propose(odd)
    assert roles_of(proposal) == {
        "Bild-Datei": "image", "PatNr": "unused", "Patient": "patient", "Alter (Jahre)": "age", "Sex": "sex",
        "Note": "unused", "Erguß": "label", "Tumor": "label", "Größe in cm": "unused", "leer": "unused",
        "Modell": "unused", "Set": "split",
    }  # fmt: skip
    whys = {column.name: column.why for column in proposal.columns}
    assert whys["Tumor"] == "0 and 1, -1 for uncertain and empty cells"
    assert (whys["leer"], whys["Modell"]) == ("empty", "the same value in every row")
    assert whys["Größe in cm"] in ("measurements", "another value in every row")
    assert all(whys.values())
    assert (proposal.form, proposal.task, proposal.labels) == ("table", "multilabel", ("Erguß", "Tumor"))
    assert (proposal.num_images, proposal.num_patients, proposal.tables) == (30, 15, ("labels.csv",))
    assert proposal.columns[0].examples == ("00", "01", "02")
    assert (proposal.columns[9].num_values, proposal.columns[9].num_empty) == (0, 30)
    assert len(proposal.examples) == 8
    assert ("images/01.png", "Erguß") in proposal.examples
    assert proposal.is_usable


def test_own_proposal_keeps_the_rest_when_a_person_corrects_it(odd):
    before = roles_of(propose(odd))
    proposal = propose(odd, roles={"Modell": "site", "Tumor": "unused"}, options={"uncertain": "ones"})
    assert roles_of(proposal) == {**before, "Modell": "site", "Tumor": "unused"}
    assert proposal.labels == ("Erguß",)
    assert proposal.options["uncertain"] == "ones"
    manifest = read_own("table", odd, **proposal.options)
    assert manifest.labels == ("Erguß",)
    assert manifest.table["age"].tolist() == [40.0 + number for number in range(30)]
    assert manifest.table["site"].unique().tolist() == ["X1"]


def test_own_proposal_gives_a_role_that_one_column_has_to_the_new_one(odd):
    proposal = propose(odd, roles={"PatNr": "patient"})
    roles = roles_of(proposal)
    assert (roles["PatNr"], roles["Patient"], proposal.num_patients) == ("patient", "unused", 30)
    proposal = propose(odd, roles={"Sex": "label"})
    assert (proposal.task, proposal.labels) == ("multiclass", ("m", "w"))
    assert propose(odd, roles={"Patient": "unused", "Set": "unused"}).num_patients is None


def test_own_proposal_tells_problems_instead_of_raising(odd):
    proposal = propose(odd, roles={"Note": "image"})
    assert not proposal.is_usable
    assert "None of the 30 images of the column 'Note'" in proposal.findings[0].text
    assert len(proposal.columns) == 12
    assert "cannot be both" in propose(odd, options={"patient": "Sex", "sex": "Sex"}).findings[0].text
    assert not propose(odd, roles={"nothing": "label"}).is_usable
    assert propose(odd, table="gone.csv").findings[0].text.startswith("There is no table")
    assert propose(odd, form="folder").findings[0].severity == "problem"  # one folder is one class


def test_own_proposal_finds_the_table_with_labels_among_others(tmp_path):
    rows = "".join(f"{number:02d}.png,{number % 2}\n" for number in range(12))
    make_table(tmp_path, f"file,mass\n{rows}", name="z.csv")
    (tmp_path / "a.csv").write_text("hospital,beds\nNord,3\nSüd,5\n")
    (tmp_path / "notes.txt").write_text("These are my images.\n")
    (tmp_path / "README.txt").write_text("a,b\n1,2\n")
    proposal = propose(tmp_path)
    assert proposal.tables[0] == "z.csv"
    assert set(proposal.tables) == {"z.csv", "a.csv"}
    assert proposal.labels == ("mass",)
    assert propose(tmp_path, table="a.csv").is_usable is False
    elsewhere = tmp_path.parent / f"{tmp_path.name}.csv"
    (tmp_path / "z.csv").rename(elsewhere)
    assert propose(tmp_path, table=str(elsewhere)).labels == ("mass",)


def test_own_proposal_warns_of_few_images_labels_without_images_and_unknown_patients(tmp_path):
    make_table(tmp_path, "file,mass,edema\n00.png,1,0\n01.png,0,0\n02.png,1,0\n", images=3)
    texts = [f"{item.text} {item.advice}" for item in propose(tmp_path).findings if item.severity == "warning"]
    assert any("3 images only" in text for text in texts)
    assert any("No image has the label 'edema'" in text for text in texts)
    assert any("No patients are known" in text for text in texts)
    (tmp_path / "labels.csv").write_text("file,mass\n00.png,1\n01.png,0\n")
    assert not propose(tmp_path).is_usable
    offered = propose(make_folders(tmp_path / "f", count=12))
    assert offered.offers == {"patient_pattern": "{id}_*"}
    assert propose(tmp_path / "f", options=offered.offers).num_patients == 12


def test_own_proposal_reads_tables_of_published_sets(tmp_path):
    names = [f"train/patient{number:03d}/study1/view1_frontal.png" for number in range(12)]
    write_images(tmp_path, *names)
    lines = ["Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Support Devices"]
    for number, name in enumerate(names):
        people = ("Male,40,Frontal,AP", "Female,50,Frontal,PA")[number % 2]
        lines.append(f"CheXpert-v1.0-small/{name},{people},{(',-1.0', '1.0,0.0')[number % 2]},1.0")
    (tmp_path / "train.csv").write_text("\n".join(lines))
    proposal = propose(tmp_path)
    assert (proposal.num_images, proposal.labels) == (12, ("No Finding", "Edema", "Support Devices"))
    assert {"Path": "image", "Sex": "sex", "Age": "age"}.items() <= roles_of(proposal).items()


def test_own_proposal_passes_over_tables_that_are_not_about_the_images(tmp_path):
    root = make_folders(tmp_path, count=8)
    (root / "hospitals.csv").write_text("hospital,beds\nNord,3\nSüd,5\n")
    assert propose(root).form == "folder"
    assert not propose(root, form="table").is_usable
    (root / "labels.csv").write_text("i00_0.png,1\ni00_1.png,0\n")
    assert "is about the image 'i00_0.png', so it has no column names" in propose(root).findings[0].text


def test_own_proposal_splits_by_lesion_where_no_patient_is_named(tmp_path):
    header, cells = "image_id,lesion_id,dx,StudyDate_DICOM", ("nv,20190331", "mel,20190401")
    rows = [f"{number:02d},L{number // 2},{cells[number % 2]}" for number in range(12)]
    make_table(tmp_path, "\n".join([header, *rows]))
    proposal = propose(tmp_path)
    assert list(roles_of(proposal).values()) == ["image", "patient", "label", "date"]
    assert proposal.num_patients == 6
    (tmp_path / "labels.csv").write_text("\n".join([f"{header},patient", *(f"{row},p{row[1]}" for row in rows)]))
    assert roles_of(propose(tmp_path))["patient"] == "patient"


def test_own_proposal_offers_a_table_that_lies_beside_the_folder(tmp_path):
    rows = "".join(f"{number:02d}.png,{number % 2}\n" for number in range(12))
    make_table(tmp_path, f"file,mass\n{rows}")
    proposal = propose(tmp_path / "images")
    assert proposal.offers == {"table": str(tmp_path / "labels.csv")}
    assert "beside the folder names these images" in proposal.findings[0].advice
    assert propose(tmp_path / "images", form="table").offers == proposal.offers
    with pytest.raises(DataError, match="but .*labels.csv names its images"):
        read_own("table", tmp_path / "images")
    assert propose(tmp_path / "images", table=proposal.offers["table"]).labels == ("mass",)


@pytest.mark.parametrize("names", [["a", "b"], ["with, comma", 'with "marks"', "ü"], ["one"], []])
def test_own_option_text_holds_any_names(names):
    assert split_names(join_names(names)) == names


def test_own_option_text_that_is_no_list_is_refused():
    with pytest.raises(DataError, match="is no list of names"):
        split_names('a,"b')


@pytest.mark.parametrize(
    ("classes", "grades"),
    [
        (("Moderate", "Mild", "No DR", "Severe"), ["No DR", "Mild", "Moderate", "Severe"]),
        (("grade 1", "grade 3", "grade 2"), ["grade 1", "grade 2", "grade 3"]),
        (("normal", "stage_1", "stage_2"), ["normal", "stage_1", "stage_2"]),
        (("IV", "I", "III", "II"), ["I", "II", "III", "IV"]),
        (("1", "3", "5"), None),
        (("low", "mild", "high"), None),
        (("COVID", "Normal", "Viral"), None),
        (("0", "1"), None),
    ],
)
def test_own_grades_are_seen_by_their_names(classes, grades):
    assert rank_grades(classes) == grades
