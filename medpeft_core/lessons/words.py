"""The answer of the finding as one paragraph, made from its numbers whichever way they fall. Light."""

from collections.abc import Mapping, Sequence
from typing import Any

from medpeft_core.reports.sentences import write_signed

MACRO, FULL, LORA, LINEAR, RANDOM = "macro", "full", "lora", "linear", "full_random"
GUESS = 0.55  # a mean test AUROC below this is little better than guessing


def write_answer(result: Mapping[str, Any]) -> str:
    """One paragraph in plain words.

    Args:
        result: as `result.build_result` gives it, without its `words`.
    """
    main = [_find(result["differences"], part["fraction"], MACRO) for part in result["fractions"]]
    sentences = [
        _describe_fraction(result, part, row)
        for part, row in zip(result["fractions"], main, strict=True)
        if row is not None
    ]
    if not sentences:
        has_pair = any((row["first"], row["second"]) == (FULL, LORA) for row in result["differences"])
        if has_pair or result["cells_done"] == result["cells_all"]:
            return (
                "The test images do not hold both classes of every finding, so there is no mean AUROC and no answer. "
                "Look at the single findings, or take more patients."
            )
        return "No pair of LoRA and full fine-tuning from the same seed is finished yet, so there is no answer."
    if result["cells_done"] < result["cells_all"]:
        sentences.insert(
            0, f"Not all runs are finished ({result['cells_done']} of {result['cells_all']}), so this may change."
        )
    describers = (_describe_findings, _describe_sizes, _describe_weights, _describe_training)
    sentences += [*(describe(result) for describe in describers), _conclude(result, main)]
    return " ".join(sentence for sentence in sentences if sentence)


def judge(row: Mapping[str, Any]) -> str:
    """What a difference LoRA minus full says: "lora", "full", "unclear", or "unknown" without an interval."""
    if row["low"] is None or row["high"] is None:
        return "unknown"
    if row["low"] > 0:
        return LORA
    return FULL if row["high"] < 0 else "unclear"


def _find(
    rows: Sequence[Mapping[str, Any]], fraction: float, label: str, *, first: str = FULL, second: str = LORA
) -> Mapping[str, Any] | None:
    wanted = (first, second, fraction, label)
    return next((row for row in rows if (row["first"], row["second"], row["fraction"], row["label"]) == wanted), None)


def _point(result: Mapping[str, Any], method: str, fraction: float, label: str = MACRO) -> Mapping[str, Any] | None:
    return next(
        (
            row
            for row in result["points"]
            if (row["method"], row["fraction"], row["label"]) == (method, fraction, label) and row["mean"] is not None
        ),
        None,
    )


def _describe_fraction(result: Mapping[str, Any], part: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    lora, full = (_point(result, method, part["fraction"]) for method in (LORA, FULL))
    where = f"With {_share(part['fraction'])} of the labels (about {part['num_images']:,.0f} images)"
    if lora is None or full is None:
        return ""
    figures = f"LoRA reached a mean test AUROC of {lora['mean']:.3f} and full fine-tuning {full['mean']:.3f}"
    difference = f"a difference of {write_signed(row['mean'])}"
    verdict = judge(row)
    if verdict == "unknown":
        return f"{where}, {figures}, from one seed only, which tells nothing about other seeds."
    interval = f"{write_signed(row['low'])} to {write_signed(row['high'])}"
    seeds = f"{row['num_seeds']} seeds"
    says = {
        LORA: "so LoRA was better",
        FULL: "so full fine-tuning was better",
        "unclear": "which covers 0: these runs do not tell which is better",
    }[verdict]
    both_guess = max(lora["mean"], full["mean"]) < GUESS
    guess = "; neither was much better than guessing (0.5)" if both_guess else ""
    return f"{where}, {figures}: {difference} ({interval}, {seeds}), {says}{guess}."


def _describe_findings(result: Mapping[str, Any]) -> str:
    """Where single findings say something else than their mean, or say it alone."""
    told: dict[str, list[str]] = {LORA: [], FULL: []}
    for part in result["fractions"]:
        for label in result["labels"]:
            row = _find(result["differences"], part["fraction"], label)
            if row is not None and judge(row) in told:
                told[judge(row)].append(f"{label} at {_share(part['fraction'])} ({write_signed(row['mean'])})")
    num_rows = sum(
        _find(result["differences"], part["fraction"], label) is not None
        for part in result["fractions"]
        for label in result["labels"]
    )
    if not num_rows:
        return ""
    if not told[LORA] and not told[FULL]:
        return "For no single finding does the interval leave out 0."
    parts = [
        f"{name} was better for {_join(items)}"
        for name, items in (("LoRA", told[LORA]), ("full fine-tuning", told[FULL]))
        if items
    ]
    text = "; ".join(parts)
    return (
        f"Finding by finding, {text}; among {num_rows} such comparisons about one in twenty leaves out 0 by chance "
        "alone."
    )


def _describe_sizes(result: Mapping[str, Any]) -> str:
    sizes = {item["method"]: item for item in result["methods"]}
    lora, full = sizes.get(LORA), sizes.get(FULL)
    if not lora or not full or not lora["num_trainable_params"] or not full["num_trainable_params"]:
        return ""
    share = lora["num_trainable_params"] / full["num_trainable_params"]
    text = f"LoRA trained {lora['num_trainable_params']:,} parameters, {100 * share:.1f} % of those of full fine-tuning"
    if lora["adapter_bytes"] and full["adapter_bytes"]:
        text += (
            f", and what must be kept of it takes {lora['adapter_bytes'] / 1e6:.2f} MB in place of "
            f"{full['adapter_bytes'] / 1e6:.1f} MB"
        )
    return text + "."


def _describe_weights(result: Mapping[str, Any]) -> str:
    """What pre-training and adapting more than the head were worth, at the largest fraction that has all of them."""
    for part in reversed(result["fractions"]):
        points = {name: _point(result, name, part["fraction"]) for name in (RANDOM, LINEAR, FULL, LORA)}
        if all(points.values()):
            means = {name: point["mean"] for name, point in points.items() if point is not None}
            guess = ", which is guessing" if means[RANDOM] < GUESS else ""
            return (
                f"For comparison at {_share(part['fraction'])}: a linear head on the frozen backbone "
                f"{means[LINEAR]:.3f}, full fine-tuning from random weights {means[RANDOM]:.3f}{guess}."
            )
    return ""


def _describe_training(result: Mapping[str, Any]) -> str:
    """Where even a linear head beats full fine-tuning, which then was not done."""
    for part in result["fractions"]:
        row = _find(result["differences"], part["fraction"], MACRO, first=LINEAR, second=FULL)
        if row is not None and judge(row) == FULL:  # below 0: the second of the two, full fine-tuning, is worse
            interval = f"{write_signed(-row['high'])} to {write_signed(-row['low'])}"
            return (
                f"At {_share(part['fraction'])} even a linear head was better than full fine-tuning, by "
                f"{write_signed(-row['mean'])} ({interval}): a sign that the latter was not done after so few updates."
            )
    return ""


def _conclude(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any] | None]) -> str:
    verdicts = [judge(row) for row in rows if row is not None]
    if not verdicts or "unknown" in verdicts:
        return ""
    if set(verdicts) == {"unclear"}:
        start = "So on these images the papers' claim was neither shown nor refuted"
    elif LORA in verdicts and FULL not in verdicts:
        start = "So here, as the papers claim, tuning fewer parameters was better where the intervals tell"
    elif FULL in verdicts and LORA not in verdicts:
        start = "So here the papers' claim did not hold: full fine-tuning was better where the intervals tell"
    else:
        start = "So here it depends on the number of labels which is better"
    steps = [part["num_steps"] for part in result["fractions"] if part.get("num_steps")]
    after = ""
    if steps:
        low, high = f"{min(steps):,.0f}", f"{max(steps):,.0f}"
        after = f" after {low if low == high else f'{low} to {high}'} updates"
    where = " on synthetic images" if result.get("is_synthetic") else ""
    patients = ", and nothing is said about patients" if result.get("is_synthetic") else ""
    return f"{start}. This is one small model{after}{where}: longer training may end otherwise{patients}."


def _share(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _join(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
