"""The paragraph reads right whichever way the numbers fall."""

import pytest
from finding_data import LOSES, UNCLEAR, WINS, make_finding

from medpeft_core.lessons.words import judge, write_answer


def test_answer_says_that_lora_won_where_the_interval_leaves_out_zero() -> None:
    words = write_answer(make_finding(deltas={0.01: UNCLEAR, 0.1: WINS, 1.0: WINS}))
    assert "which covers 0: these runs do not tell which is better" in words
    assert words.count("so LoRA was better") == 2
    assert "as the papers claim, tuning fewer parameters was better where the intervals tell" in words
    assert "longer training may end otherwise" in words
    assert words.endswith("nothing is said about patients.")


def test_answer_says_that_lora_lost() -> None:
    words = write_answer(make_finding(deltas={0.01: LOSES, 0.1: LOSES, 1.0: UNCLEAR}))
    assert words.count("so full fine-tuning was better") == 2
    assert "the papers' claim did not hold" in words
    assert "so LoRA was better" not in words


def test_answer_says_that_nothing_was_shown() -> None:
    words = write_answer(make_finding(deltas=dict.fromkeys((0.01, 0.1, 1.0), UNCLEAR)))
    assert words.count("these runs do not tell which is better") == 3
    assert "neither shown nor refuted" in words
    assert "For no single finding does the interval leave out 0." in words


def test_answer_says_that_it_depends() -> None:
    words = write_answer(make_finding(deltas={0.01: WINS, 0.1: UNCLEAR, 1.0: LOSES}))
    assert "it depends on the number of labels which is better" in words
    assert "LoRA was better for" in words
    assert "full fine-tuning was better for" in words


def test_answer_names_sizes_and_the_other_methods_from_the_numbers() -> None:
    words = write_answer(make_finding())
    assert "LoRA trained 74,501 parameters, 2.7 % of those of full fine-tuning" in words
    assert "0.31 MB in place of 11.2 MB" in words
    assert "At 100 %" not in words
    assert "For comparison at 100 %: a linear head on the frozen backbone 0.800" in words


def test_answer_says_when_full_fine_tuning_was_not_done() -> None:
    """A linear head above all weights, beyond its interval: short training must not be taken for the method's fault."""
    finding = make_finding()
    row = {**finding["differences"][0], "first": "linear", "second": "full", "mean": -0.07, "low": -0.1, "high": -0.04}
    words = write_answer({**finding, "differences": [*finding["differences"], row]})
    assert "At 1 % even a linear head was better than full fine-tuning, by +0.070 (+0.040 to +0.100)" in words
    covering = {**row, "high": 0.01}
    assert "even a linear head" not in write_answer({**finding, "differences": [*finding["differences"], covering]})


def test_answer_says_how_long_was_trained_and_on_what() -> None:
    words = write_answer(make_finding())
    assert "one small model after 240 updates on synthetic images: longer training may end otherwise" in words
    real = write_answer({**make_finding(), "is_synthetic": False})
    assert "synthetic" not in real


def test_answer_to_an_unfinished_finding_says_so_first() -> None:
    words = write_answer(make_finding(cells_done=20))
    assert words.startswith("Not all runs are finished (20 of 52), so this may change.")


def test_answer_calls_guessing_by_its_name() -> None:
    finding = make_finding()
    for point in finding["points"]:
        point["mean"] = 0.51
    assert "neither was much better than guessing" in write_answer(finding)


def test_answer_from_one_seed_concludes_nothing() -> None:
    words = write_answer(make_finding(num_seeds=1))
    assert "from one seed only" in words
    assert "papers" not in words


def test_answer_without_a_pair_is_no_answer() -> None:
    assert "there is no answer" in write_answer(make_finding(deltas={}, cells_done=3))


def test_answer_without_a_mean_says_why() -> None:
    """All runs finished, but a finding that nobody in test has: the words said that no pair was finished yet."""
    finding = make_finding()
    labels_only = [row for row in finding["differences"] if row["label"] != "macro"]
    assert "do not hold both classes of every finding" in write_answer({**finding, "differences": labels_only})


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.001, 0.02, "lora"), (-0.02, -0.001, "full"), (-0.01, 0.01, "unclear"), (0.0, 0.01, "unclear"),
     (None, None, "unknown")],
)  # fmt: skip
def test_judge(low, high, verdict) -> None:
    assert judge({"low": low, "high": high}) == verdict
