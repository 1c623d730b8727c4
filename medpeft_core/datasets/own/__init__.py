"""Data sets that people bring themselves: a folder per class, a table beside images, DICOM files, or an upload."""

# isort: off
from medpeft_core.datasets.own import folder_set, table_set, dicom_set
from medpeft_core.datasets.own import stored_spec

# isort: on
__all__ = ["dicom_set", "folder_set", "stored_spec", "table_set"]
