"""The splits that a user can ask for, whatever the reader says."""

from dataclasses import replace

import numpy as np
import pytest

from medpeft_core.config import DataConfig
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.split_policy import apply_split
from medpeft_core.datasets.splits import find_patient_overlap, is_doubt
from medpeft_core.errors import DataError


@pytest.fixture
def manifest(make_manifest) -> Manifest:
    """120 images of 40 patients from three sites, all in train; the second label has two patients only."""
    rng = np.random.default_rng(0)
    patients = [f"p{number // 3:02d}" for number in range(120)]
    targets = np.stack([rng.random(120) < 0.3, np.isin(np.arange(120), [3, 4, 60])], axis=1).astype(float)
    made = make_manifest(patients, "train", targets)
    table = made.table.assign(
        site=[("east", "west", "north")[number // 3 % 3] for number in range(120)],
        view=["AP" if number % 10 == 0 else "PA" for number in range(120)],
        age=[float(20 + number % 50) for number in range(120)],
        date=[f"{2015 + number // 20}-0{1 + number % 9}-15" for number in range(120)],
    )
    return made.with_table(table)


def split(manifest: Manifest, **settings) -> Manifest:
    return apply_split(manifest, DataConfig(dataset="nih", root="/data", **settings))


def with_column(manifest: Manifest, **columns) -> Manifest:
    return manifest.with_table(manifest.table.assign(**columns))


def test_given_leaves_the_split_and_drops_dates(manifest):
    kept = split(manifest)
    assert (kept.table["split"] == "train").all()
    assert "date" not in kept.table
    assert kept.notes == ()


def test_patient_and_stratified_say_what_they_did(manifest):
    for name, words in (("patient", "Split by patient, 70/10/20"), ("stratified", "labels spread evenly, 70/10/20")):
        done = split(manifest, split=name, split_seed=3)
        assert words in done.notes[0]
        assert f"seed 3 (data.split={name}), in place of the split that the data set came with." in done.notes[0]
        assert find_patient_overlap(done.table) == {}
        assert done.table["split"].value_counts().to_dict().keys() == {"train", "val", "test"}
        assert "date" not in done.table


@pytest.mark.parametrize("name", ["patient", "stratified", "folds", "hold_out"])
def test_notes_say_by_image_where_no_patients_are_known(manifest, name):
    settings = {"split": name, "hold_out": "site=west" if name == "hold_out" else ""}
    without = split(with_column(manifest, patient_id=None), **settings).notes[0]
    assert "by image" in without
    assert "patient" not in without.replace("data.split=patient", "")
    assert "by patient" in split(manifest, **settings).notes[0]


def test_notes_on_a_replaced_split_say_so(manifest):
    """ "Split by patient, seed 0" stood beside "Fold 1 of 5 is test" as if both were true."""
    kept = ("3 images are not on disk; they were left out.", "A split at random puts both eyes on both sides.")
    before = replace(manifest, notes=(kept[0], "Split by patient, 70/10/20, seed 0.", kept[1]))
    done = split(before, split="folds")
    said = "As read, before data.split=folds replaced the split: Split by patient, 70/10/20, seed 0."
    assert done.notes[:3] == (kept[0], said, kept[1])
    assert split(before).notes == before.notes
    twice = split(done, split="stratified").notes
    assert twice[:3] == done.notes[:3]
    assert twice[3] == f"As read, before data.split=stratified replaced the split: {done.notes[3]}"


def test_stratified_names_labels_that_too_few_patients_have(manifest):
    done = split(manifest, split="stratified")
    assert len(done.notes) == 2
    assert done.notes[1].startswith("1 of 2 labels has too few patients to be spread: label_1 (2, none in ")
    assert [is_doubt(note) for note in done.notes] == [False, True]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_stratified_splits_a_handful_as_far_as_it_goes(make_manifest, count):
    done = split(make_manifest([f"p{row}" for row in range(count)]), split="stratified")
    assert len(set(done.table["split"])) == count


def test_stratified_of_one_class_is_a_split_by_patient(make_manifest):
    made = replace(make_manifest([f"p{row}" for row in range(50)], "train", np.ones((50, 1))), task="multiclass")
    done = split(made, split="stratified")
    assert done.table["split"].value_counts().to_dict() == {"train": 35, "test": 10, "val": 5}


@pytest.mark.parametrize("num_folds", [2, 3, 20])
def test_folds_test_every_image_once(manifest, num_folds):
    runs = [split(manifest, split="folds", folds=num_folds, fold=fold + 1).table for fold in range(num_folds)]
    tested = np.stack([(table["split"] == "test").to_numpy() for table in runs])
    assert (tested.sum(axis=0) == 1).all()
    for number, table in enumerate(runs):
        assert find_patient_overlap(table) == {}
        assert set(table["split"]) == {"train", "val", "test"}
        if num_folds > 2:
            np.testing.assert_array_equal(table["split"] == "val", tested[(number + 1) % num_folds])


def test_folds_say_which_is_which(manifest):
    note = split(manifest, split="folds", folds=4, fold=4).notes[0]
    assert note.startswith("Fold 4 of 4 is test and fold 1 is val; folds go by patient with labels spread evenly")
    assert "val is an eighth of the other" in split(manifest, split="folds", folds=2).notes[0]


def test_folds_need_as_many_patients(make_manifest):
    with pytest.raises(DataError, match=r"has 4 patients, too few for 5 folds .*fewer folds, or data.split=strat"):
        split(make_manifest(["a", "b", "c", "d"]), split="folds")
    with pytest.raises(DataError, match="has 2 images, too few for 3 folds"):
        split(make_manifest([None, None]), split="folds", folds=3)


def test_hold_out_tests_other_sites(manifest):
    done = split(manifest, split="hold_out", hold_out="site=west|north").table
    assert set(done.loc[done["split"] == "test", "site"]) == {"west", "north"}
    assert set(done.loc[done["split"] != "test", "site"]) == {"east"}
    assert len(done) == 120
    assert (done["split"] == "val").sum() / (done["site"] == "east").sum() == pytest.approx(1 / 8, abs=0.04)
    assert find_patient_overlap(done) == {}


@pytest.mark.parametrize(
    ("rule", "years"),
    [
        ("date>=2019-01-01", {2019, 2020}),
        ("date>2018", {2019, 2020}),
        ("date<=2015", {2015}),
        ("date < 2017-01", {2015, 2016}),
        ("date=2016|2017", {2016, 2017}),
    ],
)
def test_hold_out_by_date(manifest, rule, years):
    spread = with_column(manifest, patient_id=manifest.table["image"])
    done = split(spread, split="hold_out", hold_out=rule)
    wanted = spread.table["date"].str[:4].astype(int).isin(years).to_numpy()
    np.testing.assert_array_equal(done.table["split"] == "test", wanted)
    assert "date" not in done.table


def test_hold_out_by_dates_of_different_length(manifest):
    """All dates were cut to the length of the first one, so the second was never found."""
    dates = manifest.table["date"]
    spread = with_column(manifest, patient_id=manifest.table["image"])
    for rule in ("date=2016|2018-01-15|2018-02", "date=2018-01-15|2018-02|2016"):
        done = split(spread, split="hold_out", hold_out=rule)
        wanted = dates.str.startswith("2016") | dates.isin(["2018-01-15", "2018-02-15"])
        np.testing.assert_array_equal(done.table["split"] == "test", wanted)
    with pytest.raises(DataError, match=r"No image has date=2018-12 .*The values of date: 2015 \(20 images\), 2016"):
        split(spread, split="hold_out", hold_out="date=2016|2018-12")


@pytest.mark.parametrize("rule", ["patient_id=p03", "patient_id=Meier", "image=00003.png"])
def test_hold_out_refuses_ids_and_lists_none(manifest, rule):
    """The rule stood in notes and stored data, and a rule that fitted nobody listed the patients."""
    with pytest.raises(DataError, match="cannot be held out by .* It has site, view, age and date") as caught:
        split(manifest, split="hold_out", hold_out=rule)
    assert not any(name in str(caught.value) for name in ("p00", "p03", "Meier", "0003"))


@pytest.mark.parametrize("rule", ["site=nowhere", "site=Meier00|Meier01|nobody"])
def test_hold_out_lists_no_values_that_may_be_names(manifest, rule):
    named = with_column(manifest, site=[f"Meier{number // 3:02d}" for number in range(120)])
    with pytest.raises(DataError, match="Its 40 values are not listed, since few images share one") as caught:
        split(named, split="hold_out", hold_out=rule)
    assert "Meier02" not in str(caught.value)
    everybody = "|".join(named.table["site"].unique())
    with pytest.raises(DataError, match=r"so nothing would be left to learn from\.$"):
        split(named, split="hold_out", hold_out=f"site={everybody}")


def test_hold_out_by_number(manifest):
    spread = with_column(manifest, patient_id=manifest.table["image"])
    done = split(spread, split="hold_out", hold_out="age>=60").table
    np.testing.assert_array_equal(done["split"] == "test", done["age"] >= 60)
    done = split(spread, split="hold_out", hold_out="age=20|21").table
    np.testing.assert_array_equal(done["split"] == "test", done["age"] <= 21)


def test_hold_out_leaves_out_the_other_images_of_tested_patients(manifest):
    done = split(manifest, split="hold_out", hold_out="view=AP")
    is_ap = manifest.table["view"] == "AP"
    tested = set(manifest.table.loc[is_ap, "patient_id"])
    assert (
        done.table.loc[done.table["split"] == "test", "image"].tolist() == manifest.table.loc[is_ap, "image"].tolist()
    )
    assert not tested & set(done.table.loc[done.table["split"] != "test", "patient_id"])
    num_lost = int((manifest.table["patient_id"].isin(tested) & ~is_ap).sum())
    assert len(done) == 120 - num_lost
    assert f"12 patients have images with view=AP and others: the {num_lost} others were left out" in done.notes[1]


def test_hold_out_leaves_out_images_without_a_value(manifest):
    sites = manifest.table["site"].where(manifest.table.index >= 9, None)
    done = split(with_column(manifest, site=sites), split="hold_out", hold_out="site=west")
    assert len(done) == 111
    assert done.notes[-1] == "9 images without a site were left out: they have no known side."


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("", "data.hold_out is empty.* Write for example site=NAME"),
        ("west", "'west', which is no rule"),
        ("scanner=A", "no 'scanner' .* It has site, view, age and date"),
        ("label_0=1", "no 'label_0'"),
        ("site=west|south", r"No image has site=south .* east \(42 images\), west \(39 images\)"),
        ("date>=2030", "No image of made has date>=2030 .* nothing would be left to test.* 2015-01-15 to 2020-"),
        ("age>0", "Each of the 120 images of made has age>0 .* to learn from. Its images have age 20.0 to 69.0"),
        ("site=west|east|north", "Each of the 120 images .* to learn from"),
        ("site>=east", "compares numbers and dates only. Name the values of site as site=A"),
        ("age>old", "compares numbers and dates only"),
        ("date>=1.1.2019", "Write the date as 2019-03-31, 2019-03 or 2019"),
    ],
)
def test_hold_out_refuses_with_what_there_is(manifest, rule, message):
    with pytest.raises(DataError, match=message):
        split(manifest, split="hold_out", hold_out=rule)


def test_hold_out_refuses_when_every_patient_is_tested(manifest):
    sides = ["A" if number % 3 == 0 else "B" for number in range(120)]
    with pytest.raises(DataError, match="Every patient of made has an image with site=A, so none is left"):
        split(with_column(manifest, site=sides), split="hold_out", hold_out="site=A")


def test_hold_out_by_a_column_nobody_filled_in_says_so(manifest):
    with pytest.raises(DataError, match="no 'site'"):
        split(with_column(manifest, site=None), split="hold_out", hold_out="site=A")
