"""Zips that lie about their entries, lead out of themselves, or would fill memory and disk: refused by name."""

import json
import stat
import struct
import zipfile
from collections.abc import Callable

import pytest
from archives import MANIFEST, refuse, write_all, zip_of

from medpeft_core.errors import ExportError
from medpeft_core.exports.run_import import import_run

GIB = 1 << 30


HOSTILE_NAMES = {
    "run/../../evil.json": "climbs out",
    "../evil.json": "climbs out",
    "/etc/passwd": "place outside",
    "C:/evil.json": "place outside",
    "c:evil.json": "place outside",
    "\\\\server\\evil.json": "place outside",
    "run\\..\\evil.json": "climbs out",
    "run\\evil.json": "a character that no file",
    "run/Config.json": "there twice",
    "run/CONFIG.JSON": "there twice",
    "run/evil.py": "no run has such a file",
    "run/adapter/evil.pkl": "no run has such a file",
    "run/adapter/deep/adapter.safetensors": "no run has such a file",
    "run/adapter/": "no run has such a file",
    "weights/evil.safetensors": "no run has such a file",
    "run/predictions/train.parquet": "no run has such a file",
    "evil" * 200: r"evil\.\.\.' of the archive is refused: no run has such a file",
}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_import_refuses_names_that_no_run_has(files, home, tmp_path, name):
    path = write_all(tmp_path / "x.zip", {**files, name: b"{}"})
    refuse(path, home, HOSTILE_NAMES[name])
    assert not list(tmp_path.rglob("evil*"))


def change(name: str, **values: int) -> Callable[[zipfile.ZipFile], None]:
    """A lie in the table of a zip about one of its files."""

    def lie(archive: zipfile.ZipFile) -> None:
        for key, value in values.items():
            setattr(archive.getinfo(name), key, value)

    return lie


LIES = {
    "link": (change("run/log.txt", create_system=3, external_attr=(stat.S_IFLNK | 0o777) << 16), "it is a link"),
    "device": (change("run/log.txt", create_system=3, external_attr=(stat.S_IFCHR | 0o600) << 16), "no plain file"),
    "encrypted": (change("run/log.txt", flag_bits=1), "it is encrypted"),
    "packed otherwise": (change("run/log.txt", compress_type=zipfile.ZIP_LZMA), "a way that the lab does not write"),
    "10 GB of text": (change("run/log.txt", file_size=10 * GIB), r"'run/log.txt'.*claims 10,737,418,240 bytes"),
    "10 GB of tensors": (change("run/adapter/adapter.safetensors", file_size=10 * GIB), "claims to grow from"),
    "100 GB": (
        change("run/adapter/adapter.safetensors", file_size=100 * GIB, compress_size=50 * GIB),
        "at most 68,719",
    ),
    "more than the file": (change("run/adapter/adapter.safetensors", compress_size=9 * GIB), "packed bytes in a file"),
    "shorter": (change("run/config.json", file_size=10), "manifest.json of the archive is refused|cannot be unpacked"),
    "longer": (change("run/log.txt", file_size=2000), "gives 'run/log.txt' another size"),
    "checksum": (change("run/config.json", CRC=1), "'run/config.json'.*cannot be unpacked"),
    "another's place": (change("run/config.json", header_offset=0), "'run/config.json'.*cannot be unpacked"),
}


@pytest.mark.parametrize("kind", LIES)
def test_import_refuses_lies_in_the_table(files, home, tmp_path, kind):
    lie, match = LIES[kind]
    ordered = {MANIFEST: files.pop(MANIFEST), **files}  # so that no run's file stands at 0
    refuse(write_all(tmp_path / "x.zip", ordered, lie=lie), home, match)


def test_import_refuses_a_longer_claim_that_the_manifest_repeats(files, home, tmp_path):
    values = json.loads(files[MANIFEST])
    for item in values["files"]:
        if item["name"] == "run/log.txt":
            item["num_bytes"] = 2000
    lie = change("run/log.txt", file_size=2000)
    path = write_all(tmp_path / "x.zip", files, fix=False, lie=lie, files=values["files"])
    refuse(path, home, "'run/log.txt'.*(bytes shorter than it claims|cannot be unpacked)")


def test_import_refuses_a_bomb_and_its_shortened_claim(files, home, tmp_path):
    files["run/events.jsonl"] = b"\n" * (48 << 20)
    refuse(write_all(tmp_path / "x.zip", files), home, "'run/events.jsonl'.*as no honest file does")
    small = {**json.loads(files[MANIFEST])}
    path = write_all(tmp_path / "y.zip", files, fix=False, lie=change("run/events.jsonl", file_size=1000), **small)
    refuse(path, home, "another size|cannot be unpacked")


def test_import_refuses_more_than_the_disk_has(packed, home, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: _Usage(300 << 20))
    assert import_run(packed[1], home=home).is_new
    monkeypatch.setattr("shutil.disk_usage", lambda folder: _Usage(200 << 20))
    with pytest.raises(ExportError, match="only 209,715,200 are free"):
        import_run(packed[1], home=home)


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_import_refuses_names_that_are_there_twice(files, home, tmp_path):
    path = write_all(tmp_path / "x.zip", files)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("run/log.txt", "again")
    refuse(path, home, "'run/log.txt'.*is there twice")


def test_import_refuses_a_table_that_would_fill_the_memory(home, tmp_path):
    name = b"run/" + b"n" * 60
    entry = struct.pack(
        "<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, 0, 0, 0, 33, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0
    )
    table = (entry + name) * 60_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 60_000, 60_000, len(table), 0, 0)
    (tmp_path / "x.zip").write_bytes(table + end)
    refuse(tmp_path / "x.zip", home, r"claims a table of 6,600,000 bytes")


def test_import_refuses_what_is_no_zip(packed, home, tmp_path):
    whole = packed[1].read_bytes()
    table = whole[:-10] + struct.pack("<L", len(whole) + 100) + whole[-6:]  # its table would begin before the file
    contents = {"cut": whole[: len(whole) // 2], "text": b"hello", "empty": b"", "end": whole[-300:], "table": table}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        refuse(tmp_path / name, home, "is no zip file, or is damaged or cut short")
    refuse(tmp_path / "missing.zip", home, "There is no archive")
    refuse(tmp_path, home, "There is no archive")
    (tmp_path / "none.zip").write_bytes(zip_of({"a.txt": b"x"}))
    refuse(tmp_path / "none.zip", home, "'a.txt'.*no run has such a file")
