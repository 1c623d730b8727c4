"""Data sets that people bring themselves: a folder per class, a table beside images, DICOM files, or an upload."""
