"""Synthetic patients: their plan, and what a finding does to the pixels."""

import numpy as np
import pytest

from medpeft_core.datasets.phantom import FINDINGS, plan_patient, plan_table
from medpeft_core.datasets.phantom_render import render_pair, render_picture
from medpeft_core.datasets.phantom_scene import build_scene

SIZE = 96


def test_plan_has_useful_prevalences_and_several_images_per_patient() -> None:
    table = plan_table(0, 2150)
    assert 3800 < len(table) < 4200
    assert set(table.groupby("patient_id").size()) == {1, 2, 3}
    for name in FINDINGS:
        assert 0.12 < table[name].mean() < 0.30, name
        severity = table.loc[table[name] == 1, f"severity_{name}"]
        assert severity.min() > 0
        assert severity.max() <= 1
        assert (severity < 0.4).mean() > 0.25  # many are subtle
    assert table.groupby("Cardiomegaly")["Effusion"].mean().diff().iloc[-1] > 0.1
    assert set(table["sex"]) == {"F", "M"}
    assert set(table["view"]) == {"PA", "AP"}
    assert table["age"].between(18, 92).all()


def test_plan_of_a_patient_does_not_depend_on_the_others() -> None:
    small, large = plan_table(3, 20), plan_table(3, 40)
    assert small.equals(large[: len(small)])
    assert not small.equals(plan_table(4, 20)[: len(small)])


def test_render_follow_ups_share_the_anatomy_but_not_the_exposure() -> None:
    patient = next(plan for plan in map(lambda index: plan_patient(0, index), range(50)) if len(plan.pictures) > 1)
    first, second = (build_scene(patient, number, size=SIZE) for number in (0, 1))
    for measure in ("half_width", "half_depth", "knob", "fat", "breast"):
        assert getattr(first.body, measure) == getattr(second.body, measure)
    assert first.body.inspiration != second.body.inspiration
    assert first.projection != second.projection
    pictures = [render_picture(patient, number, size=SIZE).pixels for number in (0, 1)]
    assert not np.array_equal(*pictures)


@pytest.mark.parametrize("finding", FINDINGS)
def test_render_pair_differs_inside_the_mask_of_the_finding(finding: str) -> None:
    bit = 1 << FINDINGS.index(finding)
    for index in range(6):
        ill, well = render_pair(plan_patient(5, index), 0, finding, size=SIZE, severity=0.8)
        assert not (well.mask & bit).any()
        inside = (ill.mask & bit) > 0
        change = np.abs(ill.pixels.astype(float) - well.pixels.astype(float))
        assert change[inside].mean() > 2
        assert change[inside].mean() > 2 * change[~inside].mean()


@pytest.mark.parametrize(("finding", "is_brighter"), [("Effusion", True), ("Nodule", True), ("Pneumothorax", False)])
def test_render_findings_are_as_dense_as_they_should_be(finding: str, is_brighter: bool) -> None:
    bit = 1 << FINDINGS.index(finding)
    for index in range(4):
        ill, well = render_pair(plan_patient(6, index), 0, finding, size=SIZE, severity=0.7)
        inside = (ill.mask & bit) > 0
        change = ill.pixels[inside].mean() - well.pixels[inside].mean()
        assert (change > 0) == is_brighter


def test_render_cardiomegaly_widens_the_heart() -> None:
    patient = plan_patient(7, 0)
    widths = []
    for severity in (0.1, 0.5, 1.0):
        rendered = render_picture(patient, 0, size=SIZE, severities={"Cardiomegaly": severity})
        boxes = {str(box["label"]): box for box in rendered.boxes()}
        widths.append(boxes["Cardiomegaly"]["width"])
    assert widths == sorted(widths)
    assert widths[2] > 1.1 * widths[0]


def test_render_every_finding_marks_a_pixel_however_small() -> None:
    severities = dict.fromkeys(FINDINGS, 0.08)
    for index in range(25):
        mask = render_picture(plan_patient(8, index), 0, size=32, severities=severities).mask
        assert [bool((mask & (1 << bit)).any()) for bit in range(len(FINDINGS))] == [True] * len(FINDINGS)
