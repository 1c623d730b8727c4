"""What a first look says of doubts: columns that could be the label, dates, tables that were passed over."""

from own_files import make_folders, make_table, write_dicom

from medpeft_core.datasets.own.propose import propose

HOSPITAL = "Patienten-Nr.;Untersuchungsdatum;Geburtsdatum;Bilddatei;Raucher;Schweregrad;Befund\n" + "".join(
    f"{number // 2:05d};{number % 28 + 1:02d}.03.2020;01.02.19{40 + number};{number:02d}.png;"
    f"{('ja', 'nein')[number % 2]};{('keine', 'leicht', 'schwer')[number % 3]};"
    f"{('unauffällig', 'Stauung|Erguß')[number % 3 > 0]}\n"
    for number in range(24)
)


def test_own_columns_called_after_findings_come_before_yes_and_no(tmp_path):
    root = make_table(tmp_path, HOSPITAL, images=24)
    proposal = propose(root)
    columns = {column.name: (column.role, column.why) for column in proposal.columns}
    assert {name: role for name, (role, _) in columns.items()} == {
        "Patienten-Nr.": "patient", "Untersuchungsdatum": "date", "Geburtsdatum": "unused", "Bilddatei": "image",
        "Raucher": "unused", "Schweregrad": "label", "Befund": "unused",
    }  # fmt: skip
    assert columns["Raucher"][1] == "yes and no, but other columns hold the labels"
    assert (proposal.labels, proposal.is_ordered) == (("keine", "leicht", "schwer"), True)
    doubt = "Several columns could be the label: Schweregrad was taken, not Raucher, Befund. Check it."
    assert [(item.severity, item.text) for item in proposal.findings if "could be" in item.text] == [("note", doubt)]
    chosen = propose(root, roles={"Raucher": "label"})
    assert chosen.labels == ("Raucher",)
    assert not any("could be" in item.text for item in chosen.findings)


def test_own_column_of_nothing_but_dates_is_the_date(tmp_path):
    rows = "".join(f"{number:02d}.png,{number % 2},2020-03-{number + 1:02d}\n" for number in range(12))
    proposal = propose(make_table(tmp_path, f"image,tumor,aufgenommen\n{rows}"))
    assert {column.name: column.role for column in proposal.columns}["aufgenommen"] == "date"


def test_own_tables_that_folders_were_preferred_to_are_named_with_the_reason(tmp_path):
    make_folders(tmp_path)
    (tmp_path / "befunde.xlsx").write_bytes(b"PK no workbook")
    (tmp_path / "readme.txt").write_text("Written by hand.\n")
    proposal = propose(tmp_path)
    assert (proposal.form, proposal.labels) == ("folder", ("ill", "normal"))
    (warning,) = (item.text for item in proposal.findings if "lies here" in item.text)
    assert warning.startswith("befunde.xlsx lies here and could not be read as a table: ")
    assert "is no Excel workbook" in warning
    (tmp_path / "befunde.xlsx").unlink()
    (tmp_path / "weather.csv").write_text("day,rain\n1,0\n2,1\n3,0\n")
    texts = [item.text for item in propose(tmp_path).findings if item.severity == "warning"]
    assert "weather.csv lies here and was passed over: it names none of the images." in texts


def test_own_workbook_with_a_title_and_an_empty_row_names_its_rows(tmp_path):
    import openpyxl

    root = make_table(tmp_path, "", images=12)
    (root / "labels.csv").unlink()
    book = openpyxl.Workbook()
    rows = [[f"{number:02d}.png", number % 2] for number in range(12)]
    for row in [["Klinik XY"], [], ["Datei", "Befund"], *rows, ["00.png", 1]]:
        book.active.append(row)
    book.save(root / "befunde.xlsx")
    (problem,) = (item.text for item in propose(root).findings if item.severity == "problem")
    assert problem.startswith("In befunde.xlsx, rows 4 and 16 are about the same image, images/00.png")


def find_problem(proposal):
    """The text of the one problem."""
    (problem,) = (item.text for item in proposal.findings if item.severity == "problem")
    return problem


def test_own_order_that_does_not_fit_the_classes_is_a_problem_at_once(tmp_path):
    root = make_table(tmp_path / "table", HOSPITAL, images=24)
    ordered = {"ordered": "leicht,schwer"}
    assert "has the classes keine, leicht, schwer, but data.ordered is" in find_problem(propose(root, options=ordered))
    ordered = {"ordered": "0,1", "labels": "Raucher", "label_form": "binary"}
    assert "so these are no grades" in find_problem(propose(root, options=ordered))
    folders = propose(make_folders(tmp_path / "folders"), options={"ordered": "ill,worse"})
    assert "has the classes ill, normal, but data.ordered is" in find_problem(folders)


def test_own_files_that_are_missing_count_once_and_keep_their_backslashes(tmp_path):
    rows = "".join(f"{number:02d}.png,{number % 2}\n" for number in range(12))
    root = make_table(tmp_path, f"image,tumor\n{rows}00.png,0\njahr\\größe\\99.png,1\njahr\\größe\\99.png,1\n")
    texts = [item.text for item in propose(root).findings]
    wanted = r"1 of 13 images of the table are not on disk, for example 'jahr\größe\99.png'; they were left out."
    assert wanted in texts


def test_own_films_without_labels_are_counted(tmp_path):
    for number in range(3):
        write_dicom(tmp_path / f"{number}.dcm")
    write_dicom(tmp_path / "report.dcm", pixels=None)
    problem = find_problem(propose(tmp_path))
    assert "labels of the 3 DICOM files" in problem
    assert "one by one with Predict" in problem
    assert "1 DICOM files hold no picture, for example report.dcm; they were left out." in problem
