"""What a first look says of doubts: columns that could be the label, dates, tables that were passed over."""

from own_files import make_table

from medpeft_core.datasets.own.propose import propose

HOSPITAL = "Patienten-Nr.;Untersuchungsdatum;Geburtsdatum;Bilddatei;Raucher;Schweregrad\n" + "".join(
    f"{number // 2:05d};{number % 28 + 1:02d}.03.2020;01.02.19{40 + number};{number:02d}.png;"
    f"{('ja', 'nein')[number % 2]};{('keine', 'leicht', 'schwer')[number % 3]}\n"
    for number in range(24)
)


def test_own_columns_called_after_findings_come_before_yes_and_no(tmp_path):
    root = make_table(tmp_path, HOSPITAL, images=24)
    proposal = propose(root)
    columns = {column.name: (column.role, column.why) for column in proposal.columns}
    assert {name: role for name, (role, _) in columns.items()} == {
        "Patienten-Nr.": "patient", "Untersuchungsdatum": "date", "Geburtsdatum": "unused", "Bilddatei": "image",
        "Raucher": "unused", "Schweregrad": "label",
    }  # fmt: skip
    assert columns["Raucher"][1] == "yes and no, but other columns hold the labels"
    assert proposal.labels == ("keine", "leicht", "schwer")
    doubt = "Several columns could be the label: Schweregrad was taken, not Raucher. Check it."
    assert [(item.severity, item.text) for item in proposal.findings if "could be" in item.text] == [("note", doubt)]
    chosen = propose(root, roles={"Raucher": "label"})
    assert chosen.labels == ("Raucher",)
    assert not any("could be" in item.text for item in chosen.findings)


def test_own_column_of_nothing_but_dates_is_the_date(tmp_path):
    rows = "".join(f"{number:02d}.png,{number % 2},2020-03-{number + 1:02d}\n" for number in range(12))
    proposal = propose(make_table(tmp_path, f"image,tumor,aufgenommen\n{rows}"))
    assert {column.name: column.role for column in proposal.columns}["aufgenommen"] == "date"
