"""Intervals of medians, for timings that repeat what they measure."""

import math

CONFIDENCE = 0.95


def find_median_interval(values: list[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the median of a distribution from independent draws, by order statistics; needs six or more.

    The k-th lowest and k-th highest value miss the median when fewer than k draws fall on one of its sides, which
    a fair coin decides for each draw.
    """
    count, chosen = len(values), 0
    for k in range(1, count // 2 + 1):
        missed = 2 * sum(math.comb(count, fewer) for fewer in range(k)) / 2**count
        chosen = k if 1 - missed >= confidence else chosen
    ordered = sorted(values)
    return ordered[chosen - 1], ordered[count - chosen]
