"""What a fingerprint of a data set stands for, and that it stays what older runs are stored with."""

from dataclasses import replace


def test_fingerprint_tells_grades_from_classes_and_nothing_else_changed(make_manifest):
    classes = replace(make_manifest(["a", "a", "b", None]), task="multiclass")
    assert classes.fingerprint() == "3efbba201c8909214b5efa96f88e86f9ace833c249c9084231c826b7d8244c4d"
    assert replace(classes, is_ordered=True).fingerprint() != classes.fingerprint()
