"""What the text of single cells means: yes, no, uncertain, nothing, a number, a split, a side. Light."""

import re
import unicodedata

BLANK = frozenset({"", "nan", "na", "n/a", "null", "<na>", "#n/a"})
POSITIVE = frozenset(
    {"1", "1.0", "1,0", "+1", "yes", "y", "true", "positive", "pos", "present", "ja", "oui", "si", "x"}
)
NEGATIVE = frozenset({"0", "0.0", "0,0", "no", "n", "false", "negative", "neg", "absent", "nein", "non"})
UNCERTAIN = frozenset({"-1", "-1.0", "-1,0", "uncertain", "unsure", "equivocal", "?"})
NO_FINDING = frozenset({
    "no finding", "no findings", "nofinding", "normal", "none", "healthy", "negative", "no abnormality", "unremarkable",
    "no disease", "nothing", "unauffällig", "normalbefund", "kein befund", "keine auffälligkeiten", "ohne befund",
})  # fmt: skip
_SPLITS = {
    "train": ("train", "training", "trn", "tr", "learn"),
    "val": ("val", "valid", "validate", "validation", "dev", "development", "tune", "tuning"),
    "test": ("test", "testing", "tst", "holdout", "hold out", "eval", "evaluation"),
}
SPLIT_WORDS = {word: name for name, words in _SPLITS.items() for word in words}
SIDES = {
    "l": "L", "left": "L", "os": "L", "links": "L", "le": "L", "r": "R", "right": "R", "od": "R", "rechts": "R",
    "re": "R", "b": "B", "both": "B", "bilateral": "B", "ou": "B",
}  # fmt: skip
SEXES = {"f": "F", "female": "F", "w": "F", "woman": "F", "weiblich": "F", "m": "M", "male": "M", "man": "M",
         "männlich": "M"}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_WORD_GAPS = re.compile(r"[\s_\-./()\[\]:#]+")
_DIGITS = re.compile(r"(\d+)")

_SCALE = (
    ("none", "no", "normal", "absent", "negative", "healthy", "no dr", "no finding", "keine", "kein", "gesund"),
    ("doubtful", "minimal", "trace", "questionable", "very mild", "fraglich"),
    ("mild", "low", "slight", "early", "small", "leicht", "gering"),
    ("moderate", "medium", "intermediate", "middle", "mittel", "mäßig", "mittelgradig"),
    ("severe", "high", "marked", "advanced", "late", "large", "schwer", "stark"),
    ("very severe", "proliferative", "proliferate dr", "proliferative dr", "extreme", "critical", "end stage"),
)
_RANKS = {word: rank for rank, words in enumerate(_SCALE) for word in words}
_STAGE = re.compile(r"(?:grade|stage|level|class|birads|bi rads|kl|score|type|g|t)? ?(\d{1,2}|[ivx]{1,4})")
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}


def fold_words(text: str) -> str:
    """A name or cell as it is compared: small letters, single blanks instead of "_", "-", "/" and brackets."""
    return _WORD_GAPS.sub(" ", unicodedata.normalize("NFC", text).strip().casefold()).strip()


def quote(text: str) -> str:
    """A text of somebody's own in quotation marks, as it stands: backslashes are not doubled as `repr` does."""
    return f"'{''.join(character if character.isprintable() else '?' for character in text)}'"


def fold_case(text: str) -> str:
    """A class as it is compared: "Normal " and "normal" are one, "a-b" and "a b" are not."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def parse_flag(text: str) -> float | None:
    """1.0, 0.0, -1.0 (uncertain) or NaN (blank); None for everything else."""
    word = text.strip().casefold()
    if word in POSITIVE:
        return 1.0
    if word in NEGATIVE:
        return 0.0
    if word in UNCERTAIN:
        return -1.0
    return float("nan") if word in BLANK or word == "none" else None


def parse_number(text: str) -> float | None:
    """A number with a decimal point or comma; None for what is none."""
    if not _NUMBER.fullmatch(text.strip()):
        return None
    return float(text.strip().replace(",", "."))


def parse_whole(text: str) -> int | None:
    """A whole number, also written as 3.0; None for what is none."""
    number = parse_number(text)
    return int(number) if number is not None and number.is_integer() and abs(number) < 1e9 else None


def is_blank(text: str) -> bool:
    """Whether a cell tells nothing: empty, "NaN", "n/a" and the like."""
    return text.strip().casefold() in BLANK


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts "grade 2" before "grade 10"."""
    parts = _DIGITS.split(text.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def rank_grades(classes: tuple[str, ...]) -> list[str] | None:
    """The classes as grades, the mildest first, where they look like such: 0 to 4, "mild" to "severe", "stage II".

    Whole numbers count up to eleven of them, without gaps, from 0 or 1; else None.
    """
    if not 3 <= len(classes) <= 11:
        return None
    words = [fold_words(name) for name in classes]
    ranks: list[int | None] = [_RANKS.get(word) for word in words]
    if None in ranks:
        numbers = [_find_stage(word) for word in words]
        present = [number for number in numbers if number is not None]
        if len(present) < len(words):  # "normal", "grade 1", "grade 2"
            numbers = [0 if number is None and _RANKS.get(word) == 0 else number
                       for number, word in zip(numbers, words, strict=True)]  # fmt: skip
        ranks = list(numbers)
        known = sorted(number for number in numbers if number is not None)
        if len(known) < len(words) or known != list(range(known[0], known[0] + len(known))) or known[0] > 1:
            return None
    known = [rank for rank in ranks if rank is not None]
    if len(set(known)) < len(classes):
        return None
    return [name for _, name in sorted(zip(known, classes, strict=True))]


def _find_stage(word: str) -> int | None:
    whole = parse_whole(word)
    if whole is not None:
        return whole
    found = _STAGE.fullmatch(word)
    if found is None:
        return None
    return int(found.group(1)) if found.group(1).isdecimal() else _ROMAN.get(found.group(1))
