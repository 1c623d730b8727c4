"""Numbers in tables: none beside another contradicts it, and labels without a call are explained."""

import pandas as pd
import pytest

from pages.widgets.prob_cells import explain_no_call, style_probs, write_call, write_numbers


@pytest.mark.parametrize(
    ("prob", "threshold", "shown", "call"),
    [
        (0.5, 0.5, "0.50", "● yes (≥ 0.50)"),
        (0.49, 0.5, "0.49", "○ no (< 0.50)"),
        (0.9, None, "0.90", "n/a"),
        (0.128, 0.1312, "0.128", "○ no (< 0.131)"),  # was "0.13 no (< 0.13)"
        (0.0215, 0.0213, "0.0215", "● yes (≥ 0.0213)"),
        (0.001, 0.0042, "0.001", "○ no (< 0.004)"),
        (0.003, 0.13, "0.003", "○ no (< 0.13)"),
        (0.004, 1.4e-6, "0.004", "● yes (≥ 0.000001)"),  # was "0.00 yes (≥ 1e-06)"
        (0.0001, 0.2, "< 0.001", "○ no (< 0.20)"),
        (2e-6, 1.4e-6, "0.000002", "● yes (≥ 0.000001)"),
        (1e-7, 2e-7, "< 0.001", "○ no (< 0.0000002)"),
    ],
)
def test_call_shows_the_digits_that_it_takes(prob, threshold, shown, call):
    """The page said "0.13 no (< 0.13)"."""
    assert write_numbers(prob, threshold)[0] == shown
    assert write_call(prob, threshold) == call


def test_shown_numbers_never_contradict_the_call():
    """Whatever two numbers there are, what is read off them is what was called."""
    values = [a * 10.0**-b for b in range(1, 7) for a in (0.996, 1, 1.004, 1.4, 4.96, 5, 5.04, 9.99)]
    for prob in values:
        for threshold in values:
            shown, limit = write_numbers(prob, threshold)
            if shown.startswith("<"):
                assert prob < 0.001
                continue
            assert (float(shown) >= float(limit)) == (prob >= threshold), (prob, threshold, shown, limit)


def test_call_marks_what_is_wrong():
    assert write_call(0.9, 0.5, is_wrong=True) == "✕ yes (≥ 0.50)"
    assert write_call(0.1, 0.5, is_wrong=True) == "✕ no (< 0.50)"


def test_missing_calls_are_explained():
    """The Call column said "n/a", and nothing said why."""
    assert explain_no_call({"A": 0.5}) == ""
    assert "no call for B. The validation images" in explain_no_call({"A": 0.5, "B": None})
    assert "no call for A, B and C\\*." in explain_no_call({"A": None, "B": None, "C*": None})


def test_styled_table_keeps_its_numbers_and_shows_the_words():
    table = pd.DataFrame({"label": ["A", "B"], "prob": [0.7, float("nan")]})
    styler = style_probs(table, {"prob": ["seven", "none"]})
    for _ in range(2):  # it is written out more than once
        html = styler.to_html()
        assert "seven" in html
        assert "none" in html
    assert html.count("background-color") == 1
    assert styler.data["prob"][0] == 0.7
