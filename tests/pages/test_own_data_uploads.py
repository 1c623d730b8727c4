"""Own images that come through the browser: safe names below one folder, and nothing left of what nobody wants."""

import io
import os
import time
import zipfile
from pathlib import PurePosixPath

import pytest

from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.errors import DataError
from pages.widgets import own_uploads
from pages.widgets.own_uploads import (
    clean_path,
    describe_folder,
    keep_files,
    keep_longer,
    make_folder,
    remove_upload,
    sweep_uploads,
    take_in,
)


def make_zip(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return stream.getvalue()


def protect(content: bytes) -> bytes:
    """The same zip with the mark of a password on its first entry, in both headers."""
    changed = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[content.index(mark) + place] |= 1
    return bytes(changed)


class Upload(io.BytesIO):
    """What the widget gives, as far as it is used."""

    def __init__(self, name: str, content: bytes = b"image") -> None:
        super().__init__(content)
        self.name, self.size = name, len(content)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("eyes/healthy/1.png", "eyes/healthy/1.png"),
        ("../../etc/passwd", "etc/passwd"),
        ("/abs/1.png", "abs/1.png"),
        ("C:\\films\\1.png", "C_/films/1.png"),
        ("Röntgen Thorax/Bild 1.png", "Röntgen Thorax/Bild 1.png"),
        ("a/b\x00\n<c>?.png", "a/b___c__.png"),
        ("x" * 300 + ".png", "x" * 116 + ".png"),
        ("eyes/.DS_Store", None),
        ("__MACOSX/1.png", None),
        ("eyes/Thumbs.db", None),
        ("", None),
        ("..", None),
    ],
)
def test_name_of_an_upload_leads_nowhere_else(name, kept):
    assert clean_path(name) == (None if kept is None else PurePosixPath(kept))


def test_uploads_lie_in_their_folders_below_the_one_that_was_chosen(home):
    folder = make_folder()
    told = []
    files = [Upload("eyes/healthy/1.png"), Upload("eyes/sick/1.png", b"other"), Upload("eyes/.DS_Store")]
    assert keep_files(files, folder, tell=lambda done, total: told.append((done, total))) == 2
    assert (folder / "eyes/healthy/1.png").read_bytes() == b"image"
    assert (folder / "eyes/sick/1.png").read_bytes() == b"other"
    assert told == [(0, 2), (1, 2)]
    assert describe_folder(folder) == (2, 10)


def test_files_of_one_name_do_not_replace_one_another(home):
    with pytest.raises(DataError, match=r"Two of the files are named 1\.png\. Upload the folder"):
        keep_files([Upload("1.png"), Upload("1.png", b"other")], make_folder(), tell=lambda done, total: None)


def test_only_uploads_are_removed(home, tmp_path):
    folder, other = make_folder(), tmp_path / "own-0123456789abcdef"
    (folder / "eyes").mkdir()
    other.mkdir()
    remove_upload(other)
    assert other.is_dir()
    remove_upload(folder / "eyes")
    assert not folder.exists()


def test_upload_that_nobody_made_a_set_of_goes_after_a_day(home):
    old, new, wanted = make_folder(), make_folder(), make_folder()
    yesterday = time.time() - own_uploads.KEPT_S - 60
    for folder in (old, wanted):
        os.utime(folder, (yesterday, yesterday))
    keep_longer(wanted)
    sweep_uploads()
    assert not old.exists()
    assert wanted.is_dir()
    assert new.is_dir()


def test_zip_is_unpacked_and_what_is_no_image_is_told(home):
    folder = make_folder()
    content = make_zip("eyes/healthy/1.png", "eyes/sick/1.png", "eyes/notes.docx", "__MACOSX/1.png")
    note = take_in([Upload("eyes.zip", content)], folder, progress=ignore_progress)
    assert note == "1 files are neither images nor tables and were left out: 1 .docx."
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == ["eyes/healthy/1.png", "eyes/sick/1.png"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("eyes.zip", make_zip("notes.docx"), "holds no images and no tables"),
        ("eyes.zip", b"no zip at all", "eyes.zip"),
        ("eyes.zip", protect(make_zip("1.png")), "password"),
        ("eyes.medpeft.zip", make_zip("data.json"), "Open it under “Open a shared data set”"),
    ],
)
def test_zip_that_is_refused_is_not_kept(home, name, content, told):
    folder = make_folder()
    with pytest.raises(DataError, match=told):
        take_in([Upload(name, content)], folder, progress=ignore_progress)
    assert list(folder.iterdir()) == []
