"""Which file a cell means, whatever people write into tables; and a patient's id out of file names."""

import unicodedata

import pytest

from medpeft_core.datasets.own.matching import FileIndex
from medpeft_core.datasets.own.patterns import find_ids, offer_pattern
from medpeft_core.errors import DataError

PATHS = ("a/1.png", "a/Ünï 2.PNG", "b/1.png", "b/deep/3.jpg", "1.2.840.5.dcm")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a/1.png", "a/1.png"),
        ("./a/1.png", "a/1.png"),
        ("A\\1.PNG", "a/1.png"),
        ("study/download/a/1.png", "a/1.png"),
        ("3.jpg", "b/deep/3.jpg"),
        ("deep/3", "b/deep/3.jpg"),
        ("3", "b/deep/3.jpg"),
        ("3.png", "b/deep/3.jpg"),
        (unicodedata.normalize("NFD", "ünï 2"), "a/Ünï 2.PNG"),
        ("1.2.840.5", "1.2.840.5.dcm"),
        ("/data/here/b/deep/3.jpg", "b/deep/3.jpg"),
    ],
)
def test_own_matching_finds_a_file(value, path, tmp_path):
    assert FileIndex(PATHS, tmp_path).match([value]).files == {value: path}


@pytest.mark.parametrize("value", ["c/1.png", "1.2.840", "deep/1.png", "", "png", "/"])
def test_own_matching_finds_no_other_file(value, tmp_path):
    match = FileIndex(PATHS, tmp_path).match([value, "3"])
    assert match.files == {"3": "b/deep/3.jpg"}


def test_own_matching_never_leads_outside(tmp_path):
    index = FileIndex(PATHS, tmp_path)
    match = index.match(["../a/1.png", f"{tmp_path}/b/1.png", "..\\1.png"])
    assert match.outside == ("../a/1.png", "..\\1.png")
    assert match.files == {f"{tmp_path}/b/1.png": "b/1.png"}


def test_own_matching_tells_what_is_ambiguous_unless_the_files_are_equal(tmp_path):
    for path, content in (("a/1.png", b"x"), ("b/1.png", b"y"), ("a/2.png", b"z"), ("b/2.png", b"z")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    match = FileIndex(("a/1.png", "a/2.png", "b/1.png", "b/2.png"), tmp_path).match(["1.png", "2"])
    assert match.ambiguous == ("1.png",)
    assert match.files == {"2": "a/2.png"}


def test_own_matching_falls_back_to_names_where_folders_were_renamed(tmp_path):
    match = FileIndex(("new/1.png", "new/2.png"), tmp_path).match(["old/1.png", "old/2.png"])
    assert (match.how, match.files) == ("name", {"old/1.png": "new/1.png", "old/2.png": "new/2.png"})
    doubled = FileIndex(("new/1.png",), tmp_path).match(["old/1.png", "older/1.png"])
    assert doubled.files == {}


@pytest.mark.parametrize(
    ("pattern", "path", "patient"),
    [
        ("{id}_*", "x/p01_2_3.png", "p01"),
        ("scan-{id}", "scan-77.png", "77"),
        ("{id:4}*", "00123-a.png", "0012"),
        ("*_{id}_*", "ct_9_1.png", "9"),
        ("{id}", "a/b.c.png", "b.c"),
        ("*/{id}/*", "train/p7/1.png", "p7"),
        ("{id}_*", "none.png", None),
        ("{id}_*", "_1.png", None),
    ],
)
def test_own_patterns_find_the_patient(pattern, path, patient):
    assert find_ids([path], pattern) == [patient]


@pytest.mark.parametrize("pattern", ["", "*", "{id}{id}", "x" * 101 + "{id}", "(a+)+$"])
def test_own_patterns_refuse_what_names_nobody(pattern):
    with pytest.raises(DataError, match="must hold {id} once"):
        find_ids(["a.png"], pattern)


def test_own_patterns_are_never_slow():
    name = "a_" * 20_000 + ".png"
    assert find_ids([name] * 20, "*_{id}_*" + "*_" * 20 + "b") == [None] * 20


def test_own_patterns_are_offered_where_names_repeat():
    paths = [f"normal/p{number // 3:03d}_{number}.png" for number in range(30)]
    assert offer_pattern(paths) == "{id}_*"
    assert offer_pattern([f"train/patient{number // 3:03d}/{number}.png" for number in range(30)]) == "*/{id}/*"
    assert offer_pattern([f"benign ({number}).png" for number in range(30)]) == ""
    assert offer_pattern([f"{number}.png" for number in range(30)]) == ""
