"""What each column of a table is for, guessed from its name and its values. Light.

Names alone are never believed for images: a column is that of the images because its values are files.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from medpeft_core.datasets.own.cells import parse_number, rank_grades
from medpeft_core.datasets.own.column_facts import MOSTLY, ColumnFacts, split_findings
from medpeft_core.datasets.own.date_columns import is_date_column, rank_date_column
from medpeft_core.datasets.own.matching import FileIndex
from medpeft_core.datasets.own.patient_names import is_patient_column, rank_patient_column
from medpeft_core.datasets.own.proposal import Role

MAX_CLASSES = 2000
_UNIQUE = 0.9  # share of different values, from which a column that is all files needs no rival
_LOOKED_UP = 1000  # distinct values that are looked for among the files
_SHOWN = 5
_FEW_CLASSES = 60  # distinct texts of a column whose name does not tell that it holds classes
_IMAGE = re.compile(
    r".*\b(image|img|file|filename|path|picture|photo|dicom|dcm|scan|sop)\b.*|.*(image|file).*(id|name|path).*"
)
_SPLIT = re.compile(r"(data ?)?(split|set|subset|partition|phase|fold|usage|dataset split)s?( ?(id|name))?|strat fold")
_IS_SPLIT = re.compile(r"(is|in)? ?(train|training|val|valid|validation|test|testing|holdout)( ?set)?")
_AGE = re.compile(
    r"(patient |subject )?(age|alter)( (in )?(years|yrs|y|yr|jahre))?( at .*)?|age approx|patient age|patients age"
)
_SEX = re.compile(r"(patients? ?|subject ?|anatom )?(sex|gender|geschlecht)( ?(code|coded|id|nr|m f|f m|dicom))?")
_ONE_SEX = re.compile(r"(is )?(fe)?male|männlich|weiblich|(sex|gender|geschlecht) (m|f|w|(fe)?male|männlich|weiblich)")
_VIEW = re.compile(r"(view|projection)( ?position)?|ap pa|pa ap|frontal lateral|view ?position")
_SIDE = re.compile(r"(image )?(laterality|side|eye|seite|breast side|knee side)")
_SITE = re.compile(r"(site|hospital|cent(er|re)|institution|clinic|facility|source|scanner|device|vendor|manufacturer)"
                   r"( ?(id|name))?")  # fmt: skip
_LABEL = re.compile(
    r"(.* )?(labels?|class(es)?|categor(y|ies)|target|diagnos(is|es)|dx|findings?|patholog(y|ies)|diseases?|"
    r"condition|ground ?truth|outcome|level|grade|stage|severity|score|kl|birads|bi rads|\w*befunde?|\w*diagnosen?|"
    r"\w*grad|stadium|klassen?|kategorien?|\w*krankheit|erkrankung)"
    r"( ?(names?|text|index|idx|id|grade|score|encoded))?"
)
_IDS = re.compile(r"(unnamed.*|index|column \d+|.*\b(id|uid|no|nr|number|idx)|.*follow.*)")


@dataclass(frozen=True, kw_only=True)
class Guess:
    """The role of every column, and a phrase on why."""

    roles: dict[str, Role]
    whys: dict[str, str]

    def first(self, role: Role) -> str:
        """The column with a role; "" where none has it."""
        return next((name for name, found in self.roles.items() if found == role), "")

    def all(self, role: Role) -> list[str]:
        """The columns with a role, in the order of the table."""
        return [name for name, found in self.roles.items() if found == role]


def guess_roles(
    columns: list[ColumnFacts], images: FileIndex, masks: FileIndex, fixed: Mapping[str, Role], barred: set[Role]
) -> Guess:
    """The role of every column.

    Args:
        columns: of the table, in its order.
        images: the files that may be images.
        masks: those that may be masks.
        fixed: columns whose role a person gave; the others are guessed around them.
        barred: roles of which a person said that no column has them.
    """
    roles: dict[str, Role] = dict(fixed)
    whys = dict.fromkeys(fixed, "as chosen")
    taken = set(fixed.values()) | barred
    free = [facts for facts in columns if facts.name not in fixed]

    def give(facts: ColumnFacts, role: Role, why: str) -> None:
        roles[facts.name], whys[facts.name] = role, why
        taken.add(role)

    if "image" not in taken and (found := _find_image(free, images)):
        give(found[0], "image", found[1])
    for role, why in _SINGLE_ROLES.items():
        rest = [facts for facts in free if facts.name not in roles and facts.counts]
        if role in taken:
            continue
        fitting = [facts for facts in rest if _PROOFS[role](facts)]
        best = min(fitting, key=_RANKS.get(role, lambda facts: (False,)), default=None)
        if best is not None:
            give(best, role, why)
    for facts in free:
        if facts.name not in roles and "mask" not in taken and _matched(facts, masks)[1] > 0:
            give(facts, "mask", "its values are mask files")
    if "label" not in taken:
        _give_labels([facts for facts in free if facts.name not in roles], roles, whys)
    for facts in free:
        if facts.name not in roles:
            roles[facts.name], whys[facts.name] = "unused", _explain_unused(facts, images)
    order = [facts.name for facts in columns]
    return Guess(roles={name: roles[name] for name in order}, whys={name: whys[name] for name in order})


def is_unique(facts: ColumnFacts) -> bool:
    """Whether nearly every row has another value."""
    return len(facts.counts) >= _UNIQUE * facts.num_filled


def kind_of_labels(facts: ColumnFacts) -> str:
    """ "binary", "list" or "class": what a column holds if it is one of labels."""
    if facts.is_flags:
        return "binary"
    return "list" if facts.separator else "class"


def _find_image(columns: list[ColumnFacts], images: FileIndex) -> tuple[ColumnFacts, str] | None:
    best: tuple[tuple[float, int, int], ColumnFacts, int, int] | None = None
    for facts in sorted(columns, key=lambda item: (not _IMAGE.fullmatch(item.words), -len(item.counts))):
        num_seen, num_found = _matched(facts, images)
        if num_found == 0 or (len(facts.counts) < 0.2 * facts.num_filled and not _IMAGE.fullmatch(facts.words)):
            continue  # "1" and "0" may be files as well, but a column of images names many
        estimate = num_found / num_seen * len(facts.counts)
        key = (round(estimate), bool(_IMAGE.fullmatch(facts.words)), num_found)
        if best is None or key > best[0]:
            best = (key, facts, num_found, num_seen)
        if num_found == num_seen and len(facts.counts) >= _UNIQUE * facts.num_filled:
            break  # nothing could fit better
    if best is not None:
        _, facts, num_found, num_seen = best
        return facts, "its values are files" if num_found == num_seen else f"{num_found} of {num_seen} values are files"
    for facts in sorted(columns, key=lambda item: not _IMAGE.fullmatch(item.words)):
        if is_unique(facts) and not facts.is_flags and not _AGE.fullmatch(facts.words):
            sample = facts.values[:_LOOKED_UP]
            if len(images.add_numbers(images.match(sample)).files) >= MOSTLY * len(sample):
                return facts, "its values are the numbers of files"
    named = [facts for facts in columns if _IMAGE.fullmatch(facts.words) and len(facts.counts) > 1]
    return (named[0], "by its name; none of its values is a file") if named else None


def _matched(facts: ColumnFacts, files: FileIndex) -> tuple[int, int]:
    """Distinct values that were looked up, evenly over the column, and how many of them are files."""
    if not files.paths:
        return 1, 0
    values = facts.values
    step = max(1, len(values) // _LOOKED_UP)
    sample = values[::step]
    match = files.match(sample)
    return len(sample) or 1, len(match.files)


def _is_split(facts: ColumnFacts) -> bool:
    if facts.split_share >= MOSTLY and len(facts.counts) <= 12:
        return True
    if _SPLIT.fullmatch(facts.words) and facts.split_share >= 0.5 and 2 <= len(facts.counts) <= 12:
        return True  # what other words it holds, the reader asks about
    numbers = facts.whole_numbers
    is_fold = numbers is not None and 2 <= len(numbers) <= 20 and numbers == list(range(numbers[0], numbers[-1] + 1))
    if _SPLIT.fullmatch(facts.words) and is_fold and numbers is not None and numbers[0] in (0, 1):
        return True
    return bool(_IS_SPLIT.fullmatch(facts.words)) and facts.is_flags


def _is_view(facts: ColumnFacts) -> bool:
    return (bool(_VIEW.fullmatch(facts.words)) and len(facts.counts) <= 40) or (
        facts.view_share >= MOSTLY and not _LABEL.fullmatch(facts.words) and len(facts.counts) >= 2
    )


def _is_site(facts: ColumnFacts) -> bool:
    return bool(_SITE.fullmatch(facts.words)) and len(facts.counts) <= 500 and not facts.is_flags


_SINGLE_ROLES: dict[Role, str] = {
    "patient": "by its name", "split": "its values are splits", "age": "by its name and numbers",
    "sex": "by its name or its values", "view": "its values are views", "laterality": "its values are sides",
    "date": "its values are dates", "site": "by its name",
}  # fmt: skip
_PROOFS = {
    "patient": is_patient_column,
    "split": _is_split,
    "age": lambda facts: bool(_AGE.fullmatch(facts.words)),
    "sex": lambda facts: bool(_SEX.fullmatch(facts.words)) or facts.sex_share >= MOSTLY,
    "view": _is_view,
    "laterality": lambda facts: bool(_SIDE.fullmatch(facts.words)) and facts.side_share >= 0.5,
    "date": is_date_column,
    "site": _is_site,
}
_RANKS: dict[Role, Callable[[ColumnFacts], tuple[bool, ...]]] = {  # the first of those that fit where none is here
    "patient": rank_patient_column,
    "date": rank_date_column,
}


def _give_labels(free: list[ColumnFacts], roles: dict[str, Role], whys: dict[str, str]) -> None:
    """The label columns: all of 0 and 1, or the one column of classes or lists that looks most like it."""
    free = [facts for facts in free if not _SEX.fullmatch(facts.words) and not _ONE_SEX.fullmatch(facts.words)]
    flags = [facts for facts in free if facts.is_flags and not _IDS.fullmatch(facts.words)]
    empty = [facts for facts in free if not facts.counts and not _IDS.fullmatch(facts.words)]
    named = [facts for facts in free if not facts.is_flags and _LABEL.fullmatch(facts.words) and is_class_like(facts)]
    is_one_named = len(flags) < 3 and bool(named)
    if flags and not is_one_named:
        for facts in flags:
            roles[facts.name], whys[facts.name] = "label", _describe_flags(facts)
        for facts in empty:
            whys[facts.name] = "empty"
        return
    rest = [facts for facts in free if not facts.is_flags and is_class_like(facts) and not _IDS.fullmatch(facts.words)]
    few = sorted((facts for facts in rest if len(facts.counts) <= _FEW_CLASSES), key=lambda facts: len(facts.counts))
    candidates = sorted(named, key=_rank_name) or few
    if candidates:
        best = candidates[0]
        roles[best.name] = "label"
        whys[best.name] = f"{_describe_classes(best)}" + ("" if named else "; its name does not tell")


def is_class_like(facts: ColumnFacts) -> bool:
    """Whether the values could be classes or lists of findings: two or more, repeated, no measurements."""
    kind = kind_of_labels(facts)
    if kind == "list":
        return True
    share = 0.9 if _LABEL.fullmatch(facts.words) else 0.5
    if not 2 <= len(facts.counts) <= MAX_CLASSES or len(facts.counts) > max(share * facts.num_filled, 4):
        return False
    return facts.number_share < MOSTLY or facts.whole_numbers is not None


def tell_rivals(columns: list[ColumnFacts], guess: Guess) -> str:
    """A sentence on the columns that could hold the labels as well as those that were taken; "" where a person chose,
    or where nothing else fits."""
    taken = guess.all("label")
    if not taken or any(guess.whys[name] == "as chosen" for name in taken):
        return ""
    rivals = [
        facts.name for facts in columns
        if guess.roles[facts.name] == "unused" and not _IDS.fullmatch(facts.words) and len(facts.counts) > 1
        and not _SEX.fullmatch(facts.words) and not _ONE_SEX.fullmatch(facts.words)
        and (facts.is_flags or (is_class_like(facts) and len(facts.counts) <= _FEW_CLASSES))
        and facts.date_share < MOSTLY
    ]  # fmt: skip
    if not rivals:
        return ""
    shown = ", ".join(rivals[:_SHOWN]) + (", ..." if len(rivals) > _SHOWN else "")
    used = ", ".join(taken[:_SHOWN]) + (", ..." if len(taken) > _SHOWN else "")
    return f"Several columns could be the label: {used} was taken, not {shown}. Check it."


def _rank_name(facts: ColumnFacts) -> tuple[int, int]:
    """Lists first, which say most, then texts, then numbers; of these the one with more classes. Lists whose findings
    never come in another company are texts that hold the separator."""
    kinds = {"list": 0 if _is_recombined(facts) else 1, "class": 1 if facts.number_share < MOSTLY else 2}
    return kinds.get(kind_of_labels(facts), 3), -len(facts.counts)


def _is_recombined(facts: ColumnFacts) -> bool:
    parts = Counter(part for text in facts.values for part in {*split_findings(text, facts.separator or "|")})
    return any(count > 1 for count in parts.values())


def _describe_flags(facts: ColumnFacts) -> str:
    parts = [_name_flags(facts)]
    if any(text.startswith("-1") for text in facts.counts):
        parts.append("-1 for uncertain")
    if facts.num_empty:
        parts.append("empty cells")
    if facts.flag_share < 1:
        parts.append("a few others")
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _name_flags(facts: ColumnFacts) -> str:
    return "0 and 1" if any(parse_number(text) is not None for text in facts.values) else "yes and no"


def _describe_classes(facts: ColumnFacts) -> str:
    if kind_of_labels(facts) == "list":
        return f"lists of findings, parted by {facts.separator!r}"
    grades = rank_grades(tuple(facts.values)) if len(facts.counts) <= 11 else None
    return f"{len(facts.counts)} {'grades' if grades else 'classes'}"


def _explain_unused(facts: ColumnFacts, images: FileIndex) -> str:
    if not facts.counts:
        return "empty"
    if len(facts.counts) == 1:
        return "the same value in every row"
    if any("/" in text or "." in text for text in facts.values[:3]) and _matched(facts, images)[1] > 0:
        return "names files, as the column of the images does"
    if facts.is_flags:
        return f"{_name_flags(facts)}, but other columns hold the labels"
    if len(facts.counts) == facts.num_filled:
        return "another value in every row"
    if facts.number_share >= MOSTLY and (facts.whole_numbers is None or not is_class_like(facts)):
        return "measurements"
    return "could be labels, but another column fits better" if is_class_like(facts) else "many different values"
