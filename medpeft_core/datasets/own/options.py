"""What can be said about own data beyond their folder: the options of `folder`, `table` and `dicom`. Light."""

import csv
import io
from dataclasses import dataclass

from medpeft_core.config import check_choices, setting
from medpeft_core.errors import DataError

NONE = "-"  # as the name of a column: there is none, do not guess
FOLDERS = "/"  # as that of the splits: folders tell them


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """How a folder per class is read; an empty text means: find out."""

    patient_pattern: str = setting(
        "", "How file names tell the patient: {id} stands for the patient, * for anything, as in {id}_*; {id:4} are "
        "four characters. With a / it is compared with the path below the folder, as in */{id}/*. Empty: no patients."
    )  # fmt: skip
    splits: str = setting(
        "auto", "Whether folders named train, val and test part the images: auto, or ignore (they are split anew).",
        choices=("auto", "ignore"),
    )  # fmt: skip
    ordered: str = setting(
        "", "The classes as grades, the mildest first: none,mild,severe. Empty: found out from their names; -: they "
            "are "
        "no grades."
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_choices("data", self)


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How a table beside images is read; an empty text means: find out, and - as a column: there is none."""

    table: str = setting("", "The table: a CSV, Excel (.xlsx) or Parquet file, by its path or below the folder.")
    sheet: str = setting("", "Sheet of a workbook.")
    encoding: str = setting("", "Encoding of a CSV file, such as utf-8 or cp1252.")
    image: str = setting("", "Column that names the image files.")
    patient: str = setting("", "Column with the patients.")
    patient_pattern: str = setting(
        "", "How file names tell the patient where no column does: {id}_*; see the data set folder."
    )
    split_column: str = setting("", "Column that says train, val or test; /: the folders of the images say so.")
    labels: str = setting(
        "", 'Columns with the labels, parted by commas; a name that holds a comma stands in quotation marks: a,"b, c".'
    )
    label_form: str = setting(
        "auto", "What the label columns hold: binary (0 or 1 in each), class (one of several classes, as text or "
        "number, or columns of which exactly one is 1) or list (several findings in one cell).",
        choices=("auto", "binary", "class", "list"),
    )  # fmt: skip
    separator: str = setting("", "What parts the findings of one cell, such as | or ;.")
    uncertain: str = setting(
        "ignore", "What -1 in a label column becomes: zeros, ones, or ignore (not known, so not learned from).",
        choices=("zeros", "ones", "ignore"),
    )  # fmt: skip
    blank: str = setting(
        "auto", "What an empty cell of a label column of 0 and 1 becomes: zeros, ignore (not known), or auto: a row "
        "whose label cells are all empty is left out, other empty cells are 0; all are 0 where no cell says 0.",
        choices=("auto", "zeros", "ignore"),
    )  # fmt: skip
    ordered: str = setting(
        "", "The classes as grades, the mildest first: none,mild,severe. Empty: found out from their names; -: they "
            "are "
        "no grades."
    )  # fmt: skip
    age: str = setting("", "Column with the age in years.")
    sex: str = setting("", "Column with the sex.")
    view: str = setting("", "Column with the view, such as PA or AP.")
    laterality: str = setting("", "Column with the side.")
    site: str = setting("", "Column with the hospital or scanner.")
    date: str = setting("", "Column with the date; splits may use it.")
    mask: str = setting("", "Column that names the mask files.")

    def __post_init__(self) -> None:
        check_choices("data", self)


@dataclass(frozen=True, kw_only=True)
class DicomOptions(TableOptions):
    """How DICOM files are read; their labels come from a table, from an attribute of the files, or from folders."""

    tag: str = setting(
        "", "Attribute of the files whose value is the class, such as ViewPosition; then no table is read.",
        suggestions=("ViewPosition", "Modality", "BodyPartExamined", "PatientSex"),
    )  # fmt: skip


def split_names(text: str) -> list[str]:
    """Names out of one text, parted by commas; a name that holds a comma or quotation mark stands in quotation marks.

    Raises:
        DataError: a quotation mark is not closed.
    """
    if not text.strip():
        return []
    try:
        row = next(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise DataError(f'{text!r} is no list of names ({error}). Write a,b or "a, with a comma",b.') from error
    return [name.strip() for name in row if name.strip()]


def join_names(names: list[str] | tuple[str, ...]) -> str:
    """The text that `split_names` reads back."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(names)
    return stream.getvalue()
