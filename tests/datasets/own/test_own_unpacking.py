"""Zip files that people upload: what comes out of them, and what no zip can do."""

import io
import stat
import zipfile

import numpy as np
import pytest
from own_files import write_images, write_zip
from PIL import Image

from medpeft_core.datasets.own.propose import propose
from medpeft_core.datasets.own.unpacking import unpack_zips
from medpeft_core.errors import DataError


def encode(grey: int = 100) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((16, 16), grey, np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


IMAGE = encode()
HONEST = {f"top/{label}/ü {number}.png": encode(number) for label in ("ill", "well") for number in range(4)}


def list_all(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_own_unpacking_takes_images_and_tables_only(tmp_path):
    dicom = bytes(128) + b"DICM" + bytes(20)
    others = {
        "top/run.exe": b"MZ", "top/notes.pdf": b"%PDF", "__MACOSX/top/._1.png": b"x", "top/.DS_Store": b"x",
        "top/Thumbs.db": b"x", "top/labels.csv": b"file,label\n", "top/IM0001": dicom, "top/1.2.840.5": dicom,
        "top/inner.zip": b"PK", "top/text": b"no picture",
    }  # fmt: skip
    write_zip(tmp_path / "in" / "films.zip", HONEST | others)
    seen = []
    found = unpack_zips(tmp_path / "in", progress=lambda *facts: seen.append(facts))
    assert found.num_files == 8 + 3
    assert found.left_out == {".exe": 1, ".pdf": 1, ".zip": 1, "no ending": 1}
    assert "4 files are neither images nor tables" in found.note
    assert list_all(tmp_path / "in")[:3] == ["top", "top/1.2.840.5", "top/IM0001"]
    assert (tmp_path / "in" / "top" / "ill" / "ü 1.png").read_bytes() == encode(1)
    assert seen[-1][1:] == (found.num_bytes, found.num_bytes)
    (tmp_path / "in" / "top" / "labels.csv").unlink()
    assert propose(tmp_path / "in" / "top").labels == ("ill", "well")


def test_own_unpacking_takes_names_with_odd_blanks(tmp_path):
    """Screenshots of macOS have U+202F in their names; a zip of these was refused."""
    names = ("Screenshot 9.41\u202fAM.png", "\u753b\u50cf\u3000\uff11.png", "con\u200bcat.png")
    write_zip(tmp_path / "up.zip", {name: IMAGE for name in names})
    assert unpack_zips(tmp_path).num_files == 3
    assert list_all(tmp_path) == sorted(names)


def test_own_unpacking_puts_several_zips_into_folders_of_their_names(tmp_path):
    for name in ("ill", "well"):
        write_zip(tmp_path / f"{name}.zip", {f"{number}.png": encode(number) for number in range(3)})
    write_images(tmp_path, "other/1.png")
    assert unpack_zips(tmp_path).num_files == 6
    assert propose(tmp_path).labels == ("ill", "other", "well")
    assert unpack_zips(tmp_path).num_files == 0


def write_link(path):
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")


def write_encrypted(path):
    write_zip(path, HONEST)
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    content[at + 8] |= 1  # the flag of the first entry in the table
    path.write_bytes(bytes(content))


def write_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("1.bmp", "w") as file:
        for _ in range(300):
            file.write(bytes(1 << 20))


def write_liar(path):
    write_zip(path, {"1.png": IMAGE * 40})
    content = bytearray(path.read_bytes())
    at = content.find(b"PK\x01\x02")
    content[at + 24 : at + 28] = (10).to_bytes(4, "little")  # its size, in the table
    path.write_bytes(bytes(content))


def write_cut(path):
    write_zip(path, HONEST)
    path.write_bytes(path.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        ({"../1.png": IMAGE}, "climbs out of the folder"),
        ({"a/../../1.png": IMAGE}, "climbs out of the folder"),
        ({"..\\1.png": IMAGE}, "climbs out of the folder"),
        ({"/etc/1.png": IMAGE}, "a place outside"),
        ({"C:/1.png": IMAGE}, "a place outside"),
        ({"a\n.png": IMAGE}, "control characters"),
        ({"a\u202egnp.exe": IMAGE}, "control characters"),
        ({"a//1.png": IMAGE}, "what no file name has"),
        ({"a/" * 30 + "1.png": IMAGE}, "too long"),
        ({"x" * 300 + ".png": IMAGE}, "too long"),
        ({"a.png": IMAGE, "A.PNG": IMAGE}, "collides with 'a.png'"),
        ({"ä.png": IMAGE, "a\u0308.png": IMAGE}, "collides with"),
        ({"a.png": IMAGE, "a.png/b.png": IMAGE}, "which is a file"),
        ({"run.exe": b"MZ"}, "holds no images and no tables, but 1 .exe"),
        (write_link, "it is a link"),
        (write_encrypted, "protected by a password; zip the files without a password"),
        (write_bomb, "claims to grow from .* as no honest collection of images does"),
        (write_liar, "claims|cannot be unpacked"),
        (write_cut, "no zip file, or is damaged or cut short"),
        (lambda path: path.write_bytes(b"no zip"), "no zip file"),
    ],
)
def test_own_unpacking_refuses_and_leaves_everything_as_it_was(tmp_path, make, sentence):
    folder = tmp_path / "in"
    folder.mkdir()
    write_zip(folder / "a.zip", {"good.png": IMAGE})
    if isinstance(make, dict):
        write_zip(folder / "b.zip", make)
    else:
        make(folder / "b.zip")
    with pytest.raises(DataError, match=sentence):
        unpack_zips(folder)
    assert list_all(folder) == ["a.zip", "b.zip"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_own_unpacking_refuses_what_lies_beside_the_zip_as_well(tmp_path):
    write_zip(tmp_path / "a.zip", {"1.png": IMAGE})
    write_images(tmp_path, "a/1.png")
    with pytest.raises(DataError, match="was uploaded by itself and in a zip file"):
        unpack_zips(tmp_path)
    assert list_all(tmp_path) == ["a", "a.zip", "a/1.png"]


def test_own_unpacking_leaves_nothing_when_it_is_stopped(tmp_path):
    class StopError(Exception):
        pass

    def stop(what, done, total):
        if done > total / 2:
            raise StopError

    write_zip(tmp_path / "films.zip", HONEST)
    with pytest.raises(StopError):
        unpack_zips(tmp_path, progress=stop)
    assert list_all(tmp_path) == ["films.zip"]
