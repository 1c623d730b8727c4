"""Data sets that people bring themselves: a folder per class, a table beside images, DICOM files, or an upload.

`propose.propose` tells what a folder holds and how it would be read; `store.add_data` stores it under a name, from when
on it is a data set as any other; `sharing.share_data` and `opening.open_data` carry it to another lab;
`unpacking.unpack_zips` opens what came through a browser. `folder_set`, `table_set` and `dicom_set` are the readers.
"""

# isort: off
from medpeft_core.datasets.own import folder_set, table_set, dicom_set
from medpeft_core.datasets.own import stored_spec

# isort: on
__all__ = ["dicom_set", "folder_set", "stored_spec", "table_set"]
