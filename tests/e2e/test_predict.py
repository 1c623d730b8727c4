"""Own images on the Predict page, in a real browser: each kind of file ends as it should, and nothing of it is kept."""

import csv
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lab_server import ROOT, Server, wait_for, wait_until_idle
from PIL import Image
from playwright.sync_api import Page, expect

TRAIN = (
    "train --dataset phantom --backbone test_resnet --image-size 64 --method full --epochs 2 --lr 0.003 "
    "--set data.num_patients=40 --set data.size=64 --set data.cache_size=64 --set evaluation.bootstrap_samples=100 "
    "--json"
)
COMMAND_TIMEOUT_S = 300
SECRET = "Zimmerberg-00013118"  # part of the names of uploads; must be found nowhere afterwards
Upload = dict[str, object]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one finished run, trained by a real worker."""
    home = tmp_path_factory.mktemp("trained") / "home"
    done = run_command(TRAIN.split(), home)
    assert done["status"] == "finished"
    return home


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the server and its children put temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def server(make_server: Callable[..., Server], trained_home: Path, tmp_path: Path, temporary: Path) -> Server:
    shutil.copytree(trained_home, tmp_path / "home")
    return make_server(TMPDIR=str(temporary))


def run_command(arguments: list[str], home: Path) -> dict:
    """What a command prints with --json."""
    done = subprocess.run(
        [sys.executable, "-m", "medpeft_core", *arguments],
        cwd=ROOT,
        env={**os.environ, "MEDPEFT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def encode(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def draw(seed: int = 0, *, size: tuple[int, int] = (96, 80), channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = size if channels == 1 else (*size, channels)
    return rng.integers(0, 255, shape, dtype=np.uint8)


def make_bomb() -> bytes:
    """A PNG of some bytes that says it is 60,000 pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def turn_by_exif() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return encode(draw(5, size=(60, 100)), "JPEG", exif=exif)


def open_page(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/predict")
    expect(page.get_by_role("heading", name="Predict", exact=True)).to_be_visible()
    wait_until_idle(page)


def give(page: Page, *files: tuple[str, bytes]) -> None:
    """Put files into the uploader, as a person who chooses them all at once."""
    chosen = [{"name": name, "mimeType": "image/png", "buffer": content} for name, content in files]
    page.locator('input[type="file"]').set_input_files(chosen)  # type: ignore[arg-type]


def expect_answers(page: Page, *, num_images: int) -> None:
    """Wait until the model has looked at all of them."""
    if num_images > 1:
        expect(page.get_by_text(re.compile(f"Image \\d+ of {num_images}$"))).to_be_visible()
    expect(page.get_by_role("button", name="Answers as CSV")).to_be_visible()
    wait_until_idle(page)


def clear(page: Page) -> None:
    page.get_by_role("button", name="Clear all").click()
    expect(page.get_by_role("button", name="Answers as CSV")).to_have_count(0)
    wait_until_idle(page)


def save_csv(page: Page) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Answers as CSV").click()
    return list(csv.DictReader(Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()))


def check_no_exception(page: Page) -> None:
    assert page.get_by_test_id("stException").count() == 0


def test_predict_gives_the_numbers_of_the_command_line(server: Server, page: Page, tmp_path: Path) -> None:
    """A PNG, a text named .png, a film of 40 megapixels, a 16-bit PNG and a JPEG: answers, or a sentence."""
    ramp = np.tile(np.linspace(0, 255, 8000).astype(np.uint8), (5000, 1))
    images = {
        "plain.png": encode(draw(1)),
        "film.png": encode(ramp, compress_level=1),
        "deep.png": encode(draw(2).astype(np.uint16) * 200),
        "photo.jpg": encode(draw(3, channels=3), "JPEG"),
    }
    open_page(server, page)
    give(page, *images.items(), ("text.png", b"this is no picture\n" * 50))
    expect_answers(page, num_images=len(images))
    expect(page.get_by_text("text.png is a text file, no image at all.")).to_be_visible()
    rows = save_csv(page)
    check_no_exception(page)

    run_id = server.store.list_runs()[0].run_id
    for name, content in images.items():
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / name) for name in images]
    expected = run_command(["predict", run_id, *paths, "--json"], server.home)
    for image in expected["images"]:
        found = {row["label"]: float(row["probability"]) for row in rows if row["image"] == Path(image["image"]).name}
        assert found == pytest.approx(image["probs"], abs=1e-6), image["image"]
    assert len(rows) == len(images) * len(expected["thresholds"])


def test_predict_shows_what_the_model_sees_and_where_it_looked(server: Server, page: Page) -> None:
    open_page(server, page)
    give(page, ("wide.png", encode(draw(4, size=(100, 200)))))
    expect_answers(page, num_images=1)
    expect(page.get_by_alt_text("What the model sees of your image 1: 64 by 64 pixels.")).to_be_visible()
    expect(page.get_by_text("50 % of the longer side are cut off.")).to_be_visible()
    expect(page.get_by_text("This model has learned from synthetic images only").first).to_be_visible()
    expect(page.get_by_text("The probabilities are not calibrated").first).to_be_visible()
    expect(page.get_by_text("Its shape, 200 × 100, is unlike that of the training images.")).to_be_visible()
    expect(page.get_by_alt_text(re.compile("^Your image 1, as it was read")).first).to_be_visible()
    choice = page.get_by_role("combobox", name=re.compile("Label of the heat map"))
    choice.fill("Nodule")
    choice.press("Enter")
    wait_until_idle(page)
    has_map = page.get_by_alt_text(re.compile("heat map for Nodule"))
    no_map = page.get_by_text("There is no map to show")
    expect(has_map.or_(no_map).first).to_be_visible()
    check_no_exception(page)


def test_predict_pages_by_arrow_keys_after_a_click(server: Server, page: Page) -> None:
    """After a label had been chosen with the mouse the arrow keys turned no page any more."""
    open_page(server, page)
    give(page, *((f"{number}.png", encode(draw(30 + number))) for number in range(2)))
    expect_answers(page, num_images=2)
    choice = page.get_by_role("combobox", name=re.compile("Label of the heat map"))
    choice.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # a list closes when the page scrolls under it
    choice.click()
    page.get_by_role("option", name="Nodule").click()
    wait_until_idle(page)
    page.wait_for_function("document.activeElement === document.body")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("Image 2 of 2")).to_be_visible()


def test_predict_tells_of_every_odd_file_what_is_wrong(server: Server, page: Page) -> None:
    grey, colour = draw(6), draw(7, channels=3)
    refused = {
        "cmyk.jpg": (encode(Image.fromarray(colour).convert("CMYK"), "JPEG"), "holds CMYK colours"),
        "cut.jpg": (encode(colour, "JPEG")[:700], "is cut off or damaged"),
        "empty.png": (b"", "is empty (0 bytes)"),
        "gif.png": (encode(grey, "GIF"), "but a GIF image"),
        "webp.png": (encode(grey, "WEBP"), "but a WebP image"),
        "bomb.png": (make_bomb(), "at most 50 megapixels"),
        "scan.dcm": (bytes(128) + b"DICM" + bytes(500), "is cut off"),
    }
    accepted = {
        "turned.jpg": turn_by_exif(),
        "glass.png": encode(np.dstack([colour, grey])),
        "moving.png": encode(Image.fromarray(grey), save_all=True, append_images=[Image.fromarray(grey[::-1])]),
    }
    open_page(server, page)
    give(page, *((name, content) for name, (content, _) in refused.items()), *accepted.items())
    for name, (_, reason) in refused.items():
        alert = page.get_by_role("alert").filter(has_text=re.compile(rf"^\W*(broken_image)?\s*{re.escape(name)} "))
        expect(alert).to_contain_text(reason)
    expect_answers(page, num_images=len(accepted))
    expect(page.get_by_text("of 60 × 100 in the file")).to_be_visible()  # turned upright
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Transparent parts were laid over black.")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("its first picture was used")).to_be_visible()
    assert len(save_csv(page)) == 5 * len(accepted)
    check_no_exception(page)


def test_predict_takes_ten_files_each_once_with_any_name(server: Server, page: Page) -> None:
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    open_page(server, page)
    same = encode(draw(8))
    nasty = "![x](http:__example.org_a.png) <img src=x onerror=alert(1)> **b** `c`.png"
    files = [(nasty, encode(draw(9))), ("a.png", same), ("again.png", same)]
    files += [(f"{number}.png", encode(draw(20 + number))) for number in range(8)]
    give(page, *files)
    expect_answers(page, num_images=9)
    expect(page.get_by_text("again.png is the same file as a.png; it is shown once.")).to_be_visible()
    expect(page.get_by_text("the last 1 was left out")).to_be_visible()
    expect(page.get_by_text(nasty, exact=True).first).to_be_visible()  # as text, to the letter
    assert not [address for address in addresses if "example.org" in address]
    clear(page)
    give(page, ("heavy.png", b"\x89PNG\r\n\x1a\n" + bytes(26 * 1024 * 1024)))
    expect(page.get_by_text(re.compile("25.0MB or smaller|at most 25 MB")).first).to_be_visible()
    check_no_exception(page)


def test_predict_keeps_nothing(server: Server, page: Page, temporary: Path) -> None:
    """Uploads may show patients: no folder of the lab and no temporary one holds any of them, during or after."""
    open_page(server, page)
    give(page, ("warm-up.png", encode(draw(10))))
    expect_answers(page, num_images=1)
    clear(page)
    before = list_files(server.home, temporary)
    content = encode(draw(11, size=(300, 300)))
    give(page, (f"{SECRET}.png", content), (f"{SECRET}-2.jpg", encode(draw(12, size=(300, 300)), "JPEG")))
    expect_answers(page, num_images=2)
    during = list_files(server.home, temporary)
    page.get_by_role("button", name="Next").click()
    wait_until_idle(page)
    clear(page)
    page.goto("about:blank")
    after = list_files(server.home, temporary)
    new = {path for files in (during, after) for path in files if path not in before}
    assert {path.name for path in new} <= {"lab.sqlite-wal", "lab.sqlite-shm", "lab.sqlite-journal"}
    for path in (*after, server.log):
        if path.is_file() and path.suffix not in (".u8", ".safetensors"):
            found = path.read_bytes()
            assert SECRET.encode() not in found, path
            assert content[64:128] not in found, path


def test_predict_answers_at_once_when_the_server_is_found_again(server: Server, page: Page) -> None:
    """The visit's images are gone with the server; the page says so by an empty uploader, and takes new ones."""
    open_page(server, page)
    give(page, ("a.png", encode(draw(13))))
    expect_answers(page, num_images=1)
    server.kill()
    server.start()
    wait_for(lambda: page.get_by_role("button", name="Answers as CSV").count() == 0, timeout_s=60, what="it is empty")
    wait_until_idle(page)
    give(page, ("b.png", encode(draw(14))))
    expect_answers(page, num_images=1)
    expect(page.get_by_text("b.png", exact=True).first).to_be_visible()
    check_no_exception(page)


def list_files(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}
