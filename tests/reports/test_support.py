"""What figures rest on: positives counted by image and by patient, and true words about them."""

import numpy as np
import pytest
from stored_runs import make_run

from medpeft_core.reports.predictions import load_predictions
from medpeft_core.reports.support import (
    Support,
    count_positives,
    describe_resamplings,
    describe_shortage,
    describe_support,
    describe_thin,
    load_support,
)


def test_positives_are_counted_by_image_and_by_patient():
    targets = np.array([[1, 0], [1, np.nan], [1, 1], [0, 0]])
    patients = np.array(["a", "a", "b", "c"])
    assert count_positives(targets, ("Mass", "Hernia"), patients) == {"Mass": Support(3, 2), "Hernia": Support(1, 1)}
    assert count_positives(targets, ("Mass", "Hernia"), None)["Mass"] == Support(3, None)


def test_support_of_a_run_is_that_of_its_predictions_and_metrics(home):
    run = make_run(home)
    support, test = load_support(run), run.metrics()["test"]
    assert {label: item.num_images for label, item in support.items()} == {
        label: values["num_positive"] for label, values in test["per_class"].items()
    }
    table = load_predictions(run).table
    for label, item in support.items():
        assert item.num_patients == table.loc[table[f"target_{label}"] == 1, "patient_id"].nunique()


@pytest.mark.parametrize(
    ("support", "is_thin"),
    [((0, 0), False), ((9, 9), True), ((10, 5), False), ((40, 4), True), ((40, None), False), ((9, None), True)],
)
def test_thin_labels_have_few_positive_images_or_patients(support, is_thin):
    assert Support(*support).is_thin is is_thin


def test_caution_names_the_rarest_first_and_is_silent_when_all_is_well():
    text = describe_thin({"Mass": Support(5, 4), "Effusion": Support(90, 80), "Hernia": Support(3, 1)})
    assert text.endswith("Hernia 3 positive images of 1 patient, Mass 5 of 4.")
    assert describe_thin({"Effusion": Support(90, 80)}) is None
    assert describe_support("Nodule", Support(1, None)) == "Nodule 1 positive image"


def test_resamplings_are_told_as_they_were():
    assert describe_resamplings([(1000, 1000)]) == "1,000 resamplings"
    assert describe_resamplings([(2000, 637)]) == (
        "2,000 resamplings, of which 637 had images of both classes for every label; the others could not be counted"
    )
    assert "of which 637 to 2,000 had" in describe_resamplings([(2000, 2000), (2000, 637)])


def test_shortage_is_told_below_half_and_names_a_few_labels():
    assert describe_shortage([(2000, 1000)], {}) is None
    many = {f"L{number}": Support(2, 1) for number in range(7)}
    assert describe_shortage([(2000, 999)], many).endswith(
        "L0 2 positive images of 1 patient, L1 2 of 1, L2 2 of 1, L3 2 of 1 and 3 more."
    )
