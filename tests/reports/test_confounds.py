"""A difference between two runs is not called one between two methods when more than the method differs."""

import pytest
from stored_runs import make_run

from medpeft_core.reports.confounds import describe_confounds, find_confounds, name_settings
from medpeft_core.reports.pairs import compare_pairs


def describe(*runs):
    return describe_confounds(compare_pairs(runs), runs, {run.run_id: f"R{at}" for at, run in enumerate(runs)})


@pytest.mark.parametrize(
    "other",
    [
        {"method": "full"},
        {"method": "full", "seed": 3, "settings": {"optim": {"lr": 0.2}, "train": {"device": "cuda:0"}}},
        {"fraction": 0.25},
        {"backbone": "resnet18"},
        {},
    ],
)
def test_runs_that_differ_in_one_thing_need_no_caution(home, other):
    assert describe(make_run(home), make_run(home, **other)) is None


def test_the_page_gave_a_difference_of_ten_settings_as_that_of_two_methods(home):
    first = make_run(home)
    second = make_run(home, method="full", backbone="resnet18", fraction=0.15, epochs_done=2)
    text = describe(first, second)
    number = len(find_confounds(first, second))
    assert number >= 3
    assert text.startswith(f"These runs differ in {number} settings besides the method (label fraction, backbone, ")
    assert text.endswith("so this is a difference between two runs, not between two methods.")


def test_same_method_with_two_other_things_is_told_too(home):
    text = describe(make_run(home), make_run(home, fraction=0.25, epochs_done=2))
    assert "(label fraction, epochs)" in text


def test_caution_of_several_pairs_is_said_once_and_names_those_that_it_is_about(home):
    runs = [make_run(home), make_run(home, method="full"), make_run(home, method="linear", fraction=0.25)]
    text = describe(*runs)
    assert text.startswith("In 2 of these 3 pairs (R2 and R0; R2 and R1) the runs differ in more than the method")
    everywhere = describe(runs[0], runs[2])
    assert everywhere.startswith("These runs differ in 1 setting besides the method (label fraction)")


def test_pairs_without_a_test_have_no_difference_to_be_careful_about(home):
    assert describe(make_run(home), make_run(home, method="full", fraction=0.3, labels=("Effusion",))) is None


def test_settings_have_plain_names():
    named = name_settings(["data.fraction", "backbone.name", "backbone.pool", "augment.rotation_deg"])
    assert named == ["label fraction", "backbone", "rotation deg"]
    assert name_settings(["backbone.pool"]) == ["pooling"]
