"""Ages, sexes and views of patients as data sets and DICOM files write them, brought to the manifest's values."""

import pandas as pd

OLDEST_YEARS = 120  # tables hold ages such as 414, which are typing errors
YEARS_PER_UNIT = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
LATERAL_VIEWS = ("LATERAL", "LL", "RL", "LLAT", "RLAT", "LAT")


def parse_ages(texts: pd.Series) -> pd.Series:
    """Years (float) from "58", "058Y", "009M", "030W" or "012D"; missing where that is no age."""
    parts = texts.astype(str).str.strip().str.upper().str.extract(r"^(\d+(?:\.\d+)?)([YMWD]?)$")
    return pd.to_numeric(parts[0]).astype(float) * parts[1].replace("", "Y").map(YEARS_PER_UNIT).astype(float)


def drop_odd_ages(years: pd.Series, notes: list[str]) -> pd.Series:
    """The ages without those that nobody can have, and a note on these."""
    odd = years[(years > OLDEST_YEARS) | (years < 0)]
    if len(odd):
        images = "1 image states" if len(odd) == 1 else f"{len(odd)} images state"
        farthest = odd.tolist()[int(odd.abs().to_numpy().argmax())]
        notes.append(
            f"{images} an impossible age (up to {farthest:g} years), a typing error in the table; it counts as not "
            "known."
        )
    return years.where((years >= 0) & (years <= OLDEST_YEARS))


def parse_sexes(texts: pd.Series) -> pd.Series:
    """ "F" or "M" from "F", "female", "Male" and the like; missing elsewhere."""
    letters = texts.astype(str).str.strip().str.upper().str[:1]
    return letters.where(letters.isin(["F", "M"]), None).astype(object)


def parse_views(texts: pd.Series) -> pd.Series:
    """ "PA", "AP", "LATERAL" or what the data set says, in capitals; missing where it is empty."""
    views = texts.astype(str).str.strip().str.upper()
    views = views.where(~views.isin(LATERAL_VIEWS), "LATERAL")
    return views.where(~views.isin(["", "NAN", "NONE"]), None).astype(object)
