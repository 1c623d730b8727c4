"""What the figures of the second lesson say, also when the model did not take the shortcut. Light."""

from collections.abc import Mapping
from typing import Any

SAME, WORSE, CHANCE, UNCLEAR = "same", "worse", "chance", "unclear"
TAKEN, NOT_TAKEN = "taken", "not_taken"
NARROW = 0.05  # an interval of the difference that stays within this of 0 says "about the same"
CLEAR_RATIO = 1.5  # of the maps' share on the mark over its share of the image; from here on maps are said to show it
NOTABLE = 0.05  # a fall of the mean probability below this is not worth a word, however certain


def judge_answer(result: Mapping[str, Any]) -> str:
    """What became of the finding's AUROC on test: SAME, WORSE, CHANCE (its interval covers 0.5), or UNCLEAR."""
    row = find_row(result)
    low, high = row["difference_low"], row["difference_high"]
    if low is None or high is None or row["test_low"] is None:
        return UNCLEAR
    if low > 0:
        return CHANCE if row["test_low"] <= 0.5 else WORSE
    return SAME if high < 0 or (low >= -NARROW and high <= NARROW) else UNCLEAR


def judge_shortcut(result: Mapping[str, Any]) -> str:
    """Whether the model leans on the mark: TAKEN, NOT_TAKEN, or UNCLEAR.

    It goes by what painting over the mark does to the probability, beyond what painting over another place does.
    """
    fall = result["prob_change"]["beyond_control"]
    if fall["low"] is None:
        return UNCLEAR
    if fall["low"] > 0 and fall["mean"] >= NOTABLE:
        return TAKEN
    return NOT_TAKEN if fall["low"] > -NOTABLE and fall["high"] < NOTABLE else UNCLEAR


def find_row(result: Mapping[str, Any], label: str | None = None) -> dict[str, Any]:
    """The AUROCs of a label; None: of the lesson's finding."""
    return next(row for row in result["aurocs"] if row["label"] == (label or result["finding"]))


def find_version(result: Mapping[str, Any], split: str, version: str) -> dict[str, Any]:
    """The row of `masking` for a split and a version of its images."""
    return next(row for row in result["masking"] if (row["split"], row["version"]) == (split, version))


def find_cell(result: Mapping[str, Any], *, target: int, shortcut: int) -> dict[str, Any]:
    """One of the four cells of the test images."""
    return next(row for row in result["cells"] if (row["target"], row["shortcut"]) == (target, shortcut))


def write_because(result: Mapping[str, Any]) -> str:
    """The figures behind `judge_answer` in a sentence."""
    row = find_row(result)
    if row["val"] is None or row["test"] is None:
        return f"{result['finding']} has one class only in val or test, so there is no AUROC to compare."
    return (
        f"AUROC for {result['finding']}: {row['val']:.3f} on val, {row['test']:.3f} on test; the difference is "
        f"{write_number(row['difference'], row['difference_low'], row['difference_high'])}."
    )


def write_answer(result: Mapping[str, Any]) -> str:
    """One paragraph in plain words.

    Args:
        result: as `shortcut_result.build_result` gives it, without its `words`.
    """
    sentences = [
        write_because(result),
        _tell_others(result),
        _tell_cells(result),
        _tell_masking(result),
        write_maps(result),
        _conclude(result),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def write_number(value: float | None, low: float | None, high: float | None, *, digits: int = 3) -> str:
    """A difference with its interval: "0.306 (0.257 to 0.351)", with a real minus."""
    if value is None:
        return "n/a"
    shown = [f"{number:.{digits}f}".replace("-", "−") for number in (value, low, high) if number is not None]
    return shown[0] if len(shown) < 3 else f"{shown[0]} ({shown[1]} to {shown[2]})"


def _tell_others(result: Mapping[str, Any]) -> str:
    """The findings that no mark betrays: what a fair difference between val and test looks like."""
    rows = [row for row in result["aurocs"] if row["label"] != result["finding"] and row["difference"] is not None]
    if not rows or find_row(result)["difference"] is None:
        return ""
    mean = sum(row["difference"] for row in rows) / len(rows)
    direction = "lost" if mean >= 0 else "gained"
    return (
        f"The other {len(rows)} findings, which no mark betrays, {direction} {abs(mean):.3f} on average from val to "
        "test."
    )


def _tell_cells(result: Mapping[str, Any]) -> str:
    with_mark, without = (find_cell(result, target=0, shortcut=value)["mean_prob"] for value in (1, 0))
    missed = find_cell(result, target=1, shortcut=0)["mean_prob"]
    if with_mark is None or without is None or missed is None:
        return ""
    return (
        f"Test images without {result['finding']} but with the marker got a mean probability of {with_mark:.2f}; those "
        f"with {result['finding']} but without the marker, {missed:.2f}; those with neither, {without:.2f}."
    )


def _tell_masking(result: Mapping[str, Any]) -> str:
    val, test = (find_version(result, split, "masked") for split in ("val", "test"))
    fall = result["prob_change"]
    if val["auroc"] is None or test["auroc"] is None or fall["masked"]["mean"] is None:
        return ""
    return (
        f"With the marker painted over, the AUROC is {val['auroc']:.3f} on val and {test['auroc']:.3f} on test, and "
        f"the probability of the marked test images changes by {_write_change(-fall['masked']['mean'])}; the same "
        f"patch painted over on the other side changes it by {_write_change(-fall['control']['mean'])}."
    )


def write_maps(result: Mapping[str, Any]) -> str:
    """Whether the heat maps lie on the mark, in a sentence or two."""
    maps = result["maps"]
    if not maps["num_images"]:
        return "No heat map could be drawn: all were flat."
    share, area, ratio = (maps[name]["median"] for name in ("share", "area", "ratio"))
    if ratio >= CLEAR_RATIO:
        verdict = f"{ratio:.1f} times as much as in a map without any preference: the maps give the marker away."
    else:
        amount = "less than" if ratio <= 1 / CLEAR_RATIO else "about as much as"
        verdict = (
            f"{amount} in a map without any preference: the maps alone would not have told. A map that looks innocent "
            "proves nothing."
        )
    return (
        f"Of the heat maps for {maps['num_images']} marked test images a median of {100 * share:.1f} % lies on the "
        f"marker, which covers {100 * area:.1f} % of the image; that is {verdict}"
    )


def _conclude(result: Mapping[str, Any]) -> str:
    finding = result["finding"]
    if result["shortcut"] == TAKEN:
        left = find_version(result, "test", "masked")["auroc"]
        rest = ""
        if left is not None:
            rest = (
                f" What it knows of {finding} itself is what is left without the marker, an AUROC of {left:.3f} on "
                "test."
            )
        return f"So the model leans on the marker: its figure on val was not about {finding} alone.{rest}"
    if result["shortcut"] == NOT_TAKEN:
        return (
            "So this model did not take the shortcut: painting over the marker hardly changes what it says of "
            f"{finding}."
        )
    return "Whether the model leans on the marker these figures do not decide: the intervals are too wide."


def _write_change(value: float) -> str:
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text
