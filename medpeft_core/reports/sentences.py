"""What a comparison says in plain words, the same on pages, in the terminal and beside exported tables. Light."""

from collections.abc import Mapping, Sequence
from typing import Any

from medpeft_core.reports.support import Support, describe_resamplings, describe_shortage

MINUS = "−"


def describe_pair(pair: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """One pair as a sentence: which run is better, by how much, and whether these test images can tell.

    Args:
        pair: as `reports.pairs.compare_pairs` gives it.
        names: run id to its name.
    """
    a, b = names.get(pair["a"], pair["a"]), names.get(pair["b"], pair["b"])
    if pair["test"] is None:
        return f"{b} and {a}: no test, because {name_runs(pair['reason'], names)}."
    delta, low, high = pair["delta_auroc"], pair["low"], pair["high"]
    where = f"{abs(delta):.3f} AUROC {'above' if delta > 0 else 'below'}"
    if f"{abs(delta):.3f}" == "0.000":
        where = "level with"
    interval = f"{write_signed(low)} to {write_signed(high)}"
    return f"{b} is {where} {a} ({interval}): {judge_pair(pair)} ({write_p_values(pair)})."


def judge_pair(pair: Mapping[str, Any]) -> str:
    """What the interval of a tested pair says about 0, in words."""
    if pair["low"] <= 0 <= pair["high"]:
        return "the interval covers 0, so these images do not tell which is better"
    if _may_be_chance(pair):
        return "the interval leaves out 0, but among so many pairs that may be chance"
    return "the interval leaves out 0"


def judge_pair_briefly(pair: Mapping[str, Any], num_pairs: int) -> str:
    """The same in a table's few words.

    Args:
        pair: a tested one.
        num_pairs: that were tested with it.
    """
    if pair["low"] <= 0 <= pair["high"]:
        return "covers 0"
    if _may_be_chance(pair):
        return f"leaves out 0, may be chance among {num_pairs} pairs"
    return "leaves out 0"


def write_p_values(pair: Mapping[str, Any]) -> str:
    """The p-value, and the corrected one where that is another: p = 0.020, corrected p = 0.059."""
    is_bound = is_smallest_p(pair)
    plain, corrected = write_p_value(pair["p_value"], is_bound=is_bound), pair["p_value_holm"]
    if corrected is None or write_p_value(corrected, is_bound=is_bound) == plain:
        return f"p {plain}"
    return f"p {plain}, corrected p {write_p_value(corrected, is_bound=is_bound)}"


def is_smallest_p(pair: Mapping[str, Any]) -> bool:
    """Whether no resampling lay on the other side of 0: more of them could have given a smaller p."""
    return bool(pair["p_value"] * (pair["num_samples"] + 1) <= 2 + 1e-9)


def name_runs(text: str, names: Mapping[str, str]) -> str:
    """A sentence with the names of runs in place of their ids."""
    for run_id, name in names.items():
        text = text.replace(run_id, name)
    return text


def write_signed(value: float) -> str:
    """A difference with its sign: +0.021, −0.008, 0.000."""
    text = f"{abs(value):.3f}"
    return text if text == "0.000" else f"{'+' if value > 0 else MINUS}{text}"


def write_p_value(value: float, *, is_bound: bool = False) -> str:
    """As papers write it: = 0.031, < 0.001; ≤ 0.003 where no smaller one could have been found.

    Args:
        value: in (0, 1].
        is_bound: as `is_smallest_p` tells it.
    """
    if value < 0.001:
        return "< 0.001"
    return f"{'≤' if is_bound else '='} {value:.3f}" if value < 0.1 else f"{'≤' if is_bound else '='} {value:.2f}"


def explain_resamplings(pairs: Sequence[Mapping[str, Any]]) -> str:
    """How the tested pairs were resampled, in one or more sentences: what was drawn, what counted, what "≤" means.

    Args:
        pairs: as `reports.pairs.compare_pairs` gives them; one at least is tested.
    """
    tested = [pair for pair in pairs if pair["test"]]
    counts = [(pair["num_drawn"], pair["num_samples"]) for pair in tested]
    lines = [f"{tested[0]['test']}, {describe_resamplings(counts)}."]
    if any(is_smallest_p(pair) and pair["p_value"] >= 0.001 for pair in tested):
        lines.append("“≤” marks the smallest p that so few resamplings can give.")
    rare = {
        item["label"]: Support(item["num_positive"], item["num_positive_patients"])
        for pair in tested
        for item in pair["rare_labels"]
    }
    shortage = describe_shortage(counts, rare)
    return " ".join([*lines, *([shortage] if shortage else [])])


def _may_be_chance(pair: Mapping[str, Any]) -> bool:
    return pair["p_value_holm"] is not None and pair["p_value_holm"] >= 1 - pair["confidence"]
