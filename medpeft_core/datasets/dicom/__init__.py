"""DICOM files as they are meant to be seen: tags, one frame, and its grey values brought to 8 bits in the standard's
order. pydicom is imported where it is needed, not before."""
