"""Which table of a folder holds the labels, and what its columns are for. Light."""

from dataclasses import dataclass
from pathlib import Path

from medpeft_core.datasets.own.assembling import describe_scan
from medpeft_core.datasets.own.cells import quote
from medpeft_core.datasets.own.column_facts import ColumnFacts
from medpeft_core.datasets.own.folder_set import explain_no_images
from medpeft_core.datasets.own.guessing import Guess, guess_roles, is_unique
from medpeft_core.datasets.own.matching import FileIndex, strip_ending
from medpeft_core.datasets.own.options import FOLDERS, NONE, TableOptions, split_names
from medpeft_core.datasets.own.proposal import Role
from medpeft_core.datasets.own.scanning import TABLE_ENDINGS, Scan
from medpeft_core.datasets.own.tables import HEAD_BYTES, RawTable, read_table
from medpeft_core.errors import DataError

SINGLE_ROLES: dict[Role, str] = {
    "image": "image", "patient": "patient", "split": "split_column", "age": "age", "sex": "sex", "view": "view",
    "laterality": "laterality", "site": "site", "date": "date", "mask": "mask",
}  # fmt: skip
MAX_TABLES = 12
_SHOWN, _NAMED = 20, 5


@dataclass(frozen=True, kw_only=True, eq=False)
class TableLook:
    """A table, the files beside it, and the role of each of its columns."""

    raw: RawTable
    scan: Scan
    images: FileIndex
    columns: list[ColumnFacts]
    guess: Guess

    def column(self, role: Role) -> str:
        """The column with a role; "" where there is none."""
        return self.guess.first(role)


def look_at_table(root: Path, options: TableOptions, scan: Scan, *, keys: FileIndex | None = None) -> TableLook:
    """Read the table and tell what its columns are for; columns that the options name are as they say.

    Args:
        root: folder of the images.
        options: which table, and what is known of its columns.
        scan: of the root.
        keys: what values of the image column may name besides files, as of DICOM headers.

    Raises:
        DataError: no table, or a column that the options name is not in it.
    """
    images = keys or FileIndex(scan.pictures, root)
    path = find_table_path(root, options.table, scan, images)
    raw = read_table(path, sheet=options.sheet, encoding=options.encoding)
    _check_header(raw, images)
    columns = [ColumnFacts.of(raw.frame[name]) for name in raw.frame.columns]
    fixed, barred = name_roles(raw, options)
    masks = FileIndex(tuple(scan.masks.values()), root)
    return TableLook(
        raw=raw, scan=scan, images=images, columns=columns, guess=guess_roles(columns, images, masks, fixed, barred)
    )


def _check_header(raw: RawTable, images: FileIndex) -> None:
    """Refuse a table whose first row is about an image."""
    named = [name for name in raw.frame.columns if strip_ending(name) != name]
    if named and images.match(named).files:
        raise DataError(
            f"The first {raw.place} of {raw.path} is about the image {quote(named[0])}, so it has no column names. Add "
            f"a {raw.place} with names above it, such as image,label."
        )


def label_columns(look: TableLook, options: TableOptions) -> list[str]:
    """The label columns: in the order of the options where these name them, else in that of the table."""
    found = look.guess.all("label")
    named = [options.labels] if options.labels in found else split_names(options.labels)
    return [*(name for name in named if name in found), *(name for name in found if name not in named)]


def name_roles(raw: RawTable, options: TableOptions) -> tuple[dict[str, Role], set[Role]]:
    """Column -> role as the options say, and the roles that no column has.

    Raises:
        DataError: a column is not in the table, or has two roles.
    """
    fixed: dict[str, Role] = {}
    barred: set[Role] = set()
    wanted: list[tuple[Role, str, str]] = [
        (role, option, value) for role, option in SINGLE_ROLES.items() if (value := getattr(options, option))
    ]
    labels = [options.labels] if options.labels in raw.frame.columns else split_names(options.labels)
    for role, option, name in [*wanted, *(("label", "labels", name) for name in labels)]:
        if name == NONE or (role == "split" and name == FOLDERS):
            barred.add(role)
            continue
        if name not in raw.frame.columns:
            found = ", ".join(raw.frame.columns[:_SHOWN]) + (", ..." if len(raw.frame.columns) > _SHOWN else "")
            raise DataError(f"{raw.path} has no column {name!r} (data.{option}). Its columns: {found}.")
        if name in fixed:
            raise DataError(f"The column {name!r} cannot be both {fixed[name]} and {role}: see data.{option}.")
        fixed[name] = role
    return fixed, barred


def find_table_path(root: Path, table: str, scan: Scan, images: FileIndex) -> Path:
    """The table that was named, or the likeliest of those below the folder.

    Raises:
        DataError: there is none.
    """
    if table:
        path = Path(table).expanduser()
        return path if path.is_absolute() else root / path
    ranked = rank_tables(root, scan, images)
    if not ranked and (beside := find_table_beside(root, images)) is not None:
        raise DataError(
            f"{root} holds no table, but {beside} names its images. Use it with --set data.table={beside}, or give the "
            "folder above."
        )
    if not ranked:
        held = "" if scan.pictures else f" {explain_no_images(scan)}"
        raise DataError(
            f"{root} holds no table (CSV, Excel or Parquet). Name one with --set data.table=FILE, or use the data set "
            f"folder where each class has a folder.{held}"
        )
    return root / ranked[0]


def rank_tables(root: Path, scan: Scan, images: FileIndex) -> list[str]:
    """Tables below a folder, the one with the most images and labels first; text files that are no tables are left
    out."""
    if len(scan.tables) == 1 and not scan.tables[0].lower().endswith(".txt"):
        return list(scan.tables)
    rated = [(rate_table(root / name, images), -order, name) for order, name in enumerate(scan.tables[:MAX_TABLES])]
    return [name for rating, _, name in sorted(rated, reverse=True) if rating[0] >= 0]


def choose_naming_table(scan: Scan, options: TableOptions, images: FileIndex) -> tuple[str, list[str]]:
    """The table that a person named, or the likeliest that names images; "" where there is none.

    Also gives sentences on tables that were passed over, because they are about something else.
    """
    if options.table:
        return options.table, []
    ranked = rank_tables(scan.root, scan, images)
    if ranked and (options.image or options.labels):  # somebody knows its columns
        return ranked[0], []
    for name in ranked:
        path = scan.root / name
        is_cut = path.stat().st_size > HEAD_BYTES
        if rate_table(path, images)[1] or (is_cut and rate_table(path, images, is_head_only=False)[1]):
            return name, []
    if not ranked:
        return "", []
    shown = ", ".join(ranked[:_NAMED]) + (", ..." if len(ranked) > _NAMED else "")
    return "", [
        f"No image was found by a table of the folder, so these were passed over: {shown}. Name one with data.table to "
        "be told why."
    ]


def explain_passed_over(scan: Scan) -> list[str]:
    """A sentence for each table of a folder that is read without one, with the reason why it does not help."""
    found = []
    images = FileIndex(scan.pictures if scan.tables else (), scan.root)
    for name in scan.tables[:MAX_TABLES]:
        path = scan.root / name
        is_text = path.suffix.lower() == ".txt"
        try:
            raw = read_table(path)
        except DataError as error:
            if not is_text:
                found.append(f"{name} lies here and could not be read as a table: {error}")
            continue
        if is_text and len(raw.frame.columns) < 2:
            continue
        why = "names images" if rate_table(path, images, is_head_only=False)[1] else "names none of the images"
        found.append(f"{name} lies here and was passed over: it {why}.")
    return found


def find_table_beside(root: Path, images: FileIndex) -> Path | None:
    """A table in the folder above that names images of this one: people often give the folder of the images alone."""
    beside = sorted(path for path in root.parent.glob("*") if path.suffix.lower() in TABLE_ENDINGS)
    return next((path for path in beside[:MAX_TABLES] if rate_table(path, images)[0] > 0), None)


def rate_table(path: Path, images: FileIndex, *, is_head_only: bool = True) -> tuple[int, int]:
    """(1 where the first rows name images and labels, else 0, or -1 for a text that is no table; images they name)."""
    is_text = path.suffix.lower() == ".txt"
    try:
        raw = read_table(path, is_head_only=is_head_only)
    except DataError:
        return (-1 if is_text else 0), 0
    if is_text and len(raw.frame.columns) < 2:
        return -1, 0
    columns = [ColumnFacts.of(raw.frame[column]) for column in raw.frame.columns]
    guess = guess_roles(columns, images, FileIndex(()), {}, set())
    image = next((facts for facts in columns if facts.name == guess.first("image")), None)
    match = images.match(image.values) if image else None
    if image and match and is_unique(image):
        match = images.add_numbers(match)
    found = len(match.files) if match else 0
    return int(found > 0 and bool(guess.all("label"))), found


def name_other_tables(look: TableLook, images: list[str]) -> str:
    """A sentence on the tables beside the one that was read that label some of these images; "" where none does."""
    others = [look.scan.root / name for name in look.scan.tables if look.scan.root / name != look.raw.path]
    index = FileIndex(tuple(images), look.scan.root)
    found = [path.relative_to(look.scan.root).as_posix() for path in others[:MAX_TABLES]
             if rate_table(path, index) > (1, 0)]  # fmt: skip
    if not found:
        return ""
    return (
        f" Labels of such images are in {', '.join(found)}: put the tables into one, with a column split, to use them "
        "all."
    )


def describe_table(look: TableLook, root: Path) -> list[str]:
    """Sentences on the table and the folder, for the notes."""
    path = look.raw.path
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return [f"Labels from {name}.", *look.raw.notes, *describe_scan(look.scan)]
