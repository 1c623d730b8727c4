"""Fitzpatrick17k: its official columns, what is odd in them, and the download of its photographs from a server."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from web_server import LOCAL, Site, serve

from medpeft_core.datasets import DATASETS, downloads, fitzpatrick17k_images
from medpeft_core.datasets.fetching import fetch_data, find_offer
from medpeft_core.datasets.fitzpatrick17k_table import NINE, THREE
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.errors import DataError
from medpeft_core.sections import build_part

HEADER = (
    "md5hash", "fitzpatrick_scale", "fitzpatrick_centaur", "label", "nine_partition_label", "three_partition_label",
    "qc", "url", "url_alphanum",
)  # fmt: skip
CONDITIONS = (
    ("psoriasis", "inflammatory", "non-neoplastic"), ("melanoma", "malignant melanoma", "malignant"),
    ("dermatofibroma", "benign dermal", "benign"), ("dariers disease", "genodermatoses", "non-neoplastic"),
)  # fmt: skip


def make_row(number: int, **changes: str) -> dict[str, str]:
    """A row of the table as it is published; skin types from -1 to 6 in turn."""
    label, nine, three = CONDITIONS[number % len(CONDITIONS)]
    scale = ("-1", "1", "2", "3", "4", "5", "6")[number % 7]
    url = f"https://www.dermaamin.com/site/images/clinical-pic/p/{number}.jpg"
    values = (f"{number:032x}", scale, "1", label, nine, three, "", url, f"httpwwwdermaamincom{number}jpg.jpg")
    return dict(zip(HEADER, values, strict=True)) | changes


def encode(number: int, form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (16, 20, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def write_folder(root: Path, rows: list[dict[str, str]], *, missing: tuple[int, ...] = ()) -> Path:
    """The table, and images in a folder below; every second one under the name that its address gives."""
    (root / "data" / "finalfitz17k").mkdir(parents=True, exist_ok=True)
    with (root / "fitzpatrick17k.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, HEADER)
        writer.writeheader()
        writer.writerows(rows)
    for number, row in enumerate(rows):
        name = row["url_alphanum"] if number % 2 else f"{row['md5hash']}.jpg"
        if number not in missing:
            (root / "data" / "finalfitz17k" / name).write_bytes(encode(number))
    return root


def read(root: Path, **options: Any) -> Manifest:
    spec = DATASETS["fitzpatrick17k"]
    chosen = build_part(spec.options, options, section="data")
    return spec.read_manifest(root, chosen, split_seed=0, progress=ignore_progress)


@pytest.fixture
def rows() -> list[dict[str, str]]:
    return [make_row(number) for number in range(28)]


def test_photographs_come_with_class_and_skin_type(tmp_path, rows):
    manifest = read(write_folder(tmp_path, rows, missing=(3, 4)))
    assert (manifest.task, manifest.labels, len(manifest)) == ("multiclass", THREE, 26)
    assert not manifest.has_patients
    assert "2 of 28 images are not on disk; they were left out." in manifest.notes
    for path, target, skin in zip(
        manifest.paths(), manifest.targets(), manifest.table["skin_type"].fillna("-"), strict=True
    ):
        number = next(n for n, row in enumerate(rows) if path.name in (row["url_alphanum"], f"{row['md5hash']}.jpg"))
        assert path.read_bytes() == encode(number)
        assert THREE[int(target.argmax())] == rows[number]["three_partition_label"]
        assert skin == ("-" if number % 7 == 0 else str(number % 7))


def test_levels_have_their_labels_whatever_is_on_disk(tmp_path, rows):
    root = write_folder(tmp_path, rows, missing=tuple(range(1, 28, 4)))
    assert read(root, labels="nine").labels == NINE
    everything = read(root, labels="all")
    assert everything.labels == ("dariers disease", "dermatofibroma", "melanoma", "psoriasis")
    assert everything.targets()[:, 2].sum() == 0, "no melanoma is on disk, and it is still a class"


def test_images_found_wrongly_labelled_are_kept_or_dropped(tmp_path, rows):
    rows[2]["qc"], rows[5]["qc"], rows[6]["qc"] = "3 Wrongly labelled", "1 Diagnostic", "3 Wrongly labelled"
    root = write_folder(tmp_path, rows)
    assert len(read(root)) == 28
    dropped = read(root, wrong="drop")
    assert len(dropped) == 26
    assert "2 images were found wrongly labelled by dermatologists; they were left out." in dropped.notes


def test_rows_that_repeat_an_image_count_once_and_disagreeing_ones_not_at_all(tmp_path, rows):
    rows += [dict(rows[0]), make_row(1, label="psoriasis", nine_partition_label="inflammatory",
                                     three_partition_label="non-neoplastic")]  # fmt: skip
    manifest = read(write_folder(tmp_path, rows))
    assert len(manifest) == 27
    assert "1 images are listed with different labels; they were left out." in manifest.notes
    assert "1 row lists an image a second time; each counts once." in manifest.notes


def test_the_other_annotators_and_a_table_without_their_column(tmp_path, rows):
    root = write_folder(tmp_path, rows)
    assert set(read(root, skin="centaur").table["skin_type"]) == {"1"}
    table = root / "fitzpatrick17k.csv"
    table.write_text(table.read_text().replace("fitzpatrick_centaur", "other"))
    assert read(root, skin="centaur").table["skin_type"].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"three_partition_label": "bening"}, "Line 2 of .* has three_partition_label 'bening', but it must be one of"),
     ({"md5hash": "../../etc/passwd"}, "Line 2 of .* has md5hash '../../etc/passwd'")],
)  # fmt: skip
def test_odd_rows_are_named_by_line(tmp_path, rows, change, message):
    rows[0] |= change
    (tmp_path / "fitzpatrick17k.csv").write_text("")
    with pytest.raises(DataError, match="lacks the column"):
        read(tmp_path)
    with (tmp_path / "fitzpatrick17k.csv").open("w", newline="") as file:
        csv.DictWriter(file, HEADER).writerows([dict(zip(HEADER, HEADER, strict=True)), *rows])
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_the_card_tells_what_is_missing(tmp_path, rows):
    spec = DATASETS["fitzpatrick17k"]
    options = build_part(spec.options, {}, section="data")
    assert [part.is_there for part in spec.inspect(tmp_path / "new", options)] == [False, False]
    table, images = spec.inspect(write_folder(tmp_path, rows, missing=(1, 2)), options)
    assert table.is_there
    assert images.detail == "26 of 28 images; the rest is left out"
    assert spec.offer(tmp_path, options).num_files == 2
    assert find_offer("fitzpatrick17k", None, {}).num_files == 16_578


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(downloads, "RETRY_WAIT_S", 0.0)
    monkeypatch.setattr(fitzpatrick17k_images, "PAUSE_S", 0.0)
    monkeypatch.setattr(fitzpatrick17k_images, "IMAGE_RULES", LOCAL)
    monkeypatch.setattr(fitzpatrick17k_images, "TABLE_RULES", LOCAL)
    with serve() as served:
        monkeypatch.setattr(fitzpatrick17k_images, "TABLE_URL", f"{served.address}/table.csv")
        yield served


def publish(site: Site, rows: list[dict[str, str]]) -> None:
    """Table and images on the server."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER)
    writer.writeheader()
    for number, row in enumerate(rows):
        if "dermaamin" in row["url"]:
            row["url"] = f"{site.address}/{number}.jpg"
        site.files.setdefault(f"/{number}.jpg", encode(number))
        writer.writerow(row)
    site.files["/table.csv"] = text.getvalue().encode()


def fetch(root: Path, progress: Any = ignore_progress) -> None:
    fetch_data(dataset="fitzpatrick17k", root=str(root), options={}, progress=progress)


def read_failures(root: Path) -> dict[str, str]:
    with (root / "not_downloaded.csv").open(newline="") as file:
        return {row["md5hash"]: row["reason"] for row in csv.DictReader(file)}


def test_fetch_brings_what_there_is_lists_the_rest_and_asks_for_nothing_twice(site, tmp_path, rows, monkeypatch):
    monkeypatch.setattr(fitzpatrick17k_images, "MAX_IMAGE_BYTES", 50_000)
    site.files |= {"/1.jpg": b"<html>gone</html>", "/2.jpg": encode(2, "PNG"), "/3.jpg": encode(3)[:200],
                   "/4.jpg": bytes(60_000)}  # fmt: skip
    site.statuses["/5.jpg"] = [404]
    rows[6]["url"], rows[7]["url"] = "", "file:///etc/passwd"
    rows[8]["url"], rows[9]["url"] = "http://10.0.0.1/a.jpg", "http://metadata.internal/x"
    publish(site, rows)
    root = tmp_path / "new folder"
    fetch(root)
    failed = read_failures(root)
    assert sorted(int(name, 16) for name in failed) == [1, 3, 4, 5, 6, 7, 8, 9]
    reasons = {int(name, 16): reason for name, reason in failed.items()}
    assert reasons[1].startswith("no image")
    assert reasons[3].startswith("no image")
    assert reasons[4] == "it has more than 50,000 bytes"
    assert reasons[5] == "the server answers 404"
    assert reasons[6] == "the table has no address"
    assert all("is not asked for" in reasons[number] or "no address" in reasons[number] for number in (7, 8, 9))
    manifest = read(root)
    assert len(manifest) == 20
    assert (root / "images" / f"{2:032x}.jpg").read_bytes() == encode(2, "PNG")
    asked = len(site.asked)
    fetch(root)
    assert [path for path, _ in site.asked[asked:]] == ["/1.jpg", "/3.jpg", "/4.jpg", "/5.jpg"]
    assert sorted(int(name, 16) for name in read_failures(root)) == [1, 3, 4, 6, 7, 8, 9], "5 came the second time"


def test_a_stop_keeps_what_is_there(site, tmp_path, rows):
    publish(site, rows)

    def stop(what: str, done: int, total: int) -> None:
        if what == "downloading images" and done == 10:
            assert total == 28
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, stop)
    assert len(list((tmp_path / "images").iterdir())) == 10
    assert find_offer("fitzpatrick17k", str(tmp_path), {}).num_files == 18
    fetch(tmp_path)
    assert find_offer("fitzpatrick17k", str(tmp_path), {}).is_there
    assert len(site.asked) == 29


def test_a_host_that_does_not_answer_is_given_up(site, tmp_path, rows):
    publish(site, rows[:2])
    with serve() as gone:
        dead = gone.address
    for row in rows[2:]:
        row["url"] = f"{dead}/{row['md5hash']}.jpg"
    publish(site, rows)
    fetch(tmp_path)
    reasons = list(read_failures(tmp_path).values())
    assert len(reasons) == 26
    assert sum("no answer" in reason for reason in reasons) == fitzpatrick17k_images.GIVE_UP_AFTER
    assert reasons[-1].endswith("does not answer")


def test_nothing_at_all_is_an_error_that_says_why(site, tmp_path, rows):
    publish(site, rows)
    for number in range(28):
        site.statuses[f"/{number}.jpg"] = [403]
    with pytest.raises(DataError, match=r"Not one of the 28 images .* first reason: the server answers 403"):
        fetch(tmp_path)
    with pytest.raises(DataError, match="is downloaded into a folder of yours"):
        fetch_data(dataset="fitzpatrick17k", root=None, options={}, progress=ignore_progress)


def test_production_asks_the_two_atlases_and_no_private_address():
    rules = fitzpatrick17k_images.IMAGE_RULES
    assert rules.hosts == ("dermaamin.com", "atlasdermatologico.com.br")
    assert not rules.may_be_private
    assert not fitzpatrick17k_images.TABLE_RULES.may_be_private
