"""Downloading the photographs of Fitzpatrick17k from the two atlases that publish them, one after the other."""

import csv
import http.client
import io
import time
import urllib.error
from pathlib import Path
from urllib.parse import quote, urlsplit

import pandas as pd

from medpeft_core.datasets.downloads import CHUNK_BYTES, WebFile, download
from medpeft_core.datasets.fitzpatrick17k_table import TABLE_FILE, read_rows
from medpeft_core.datasets.image_files import find_images
from medpeft_core.datasets.images import UnreadableImageError, read_image_bytes
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.web_addresses import AddressRules, open_url
from medpeft_core.errors import DataError
from medpeft_core.paths import ensure_dir, write_atomically

TABLE_URL = "https://raw.githubusercontent.com/mattgroh/fitzpatrick17k/main/fitzpatrick17k.csv"
TABLE_RULES = AddressRules(hosts=("raw.githubusercontent.com",))
IMAGE_RULES = AddressRules(hosts=("dermaamin.com", "atlasdermatologico.com.br"))
MAX_TABLE_BYTES = 20_000_000  # it has 4.1 million
MAX_IMAGE_BYTES = 20_000_000
PAUSE_S = 0.2  # between two requests: the atlases are small servers
GIVE_UP_AFTER = 10  # requests in a row that a host does not answer
IMAGE_FOLDER = "images"
FAILED_FILE = "not_downloaded.csv"


def find_pictures(root: Path) -> dict[str, str]:
    """File name -> path of every image below a folder."""
    return find_images(root, is_deep=True) if root.is_dir() else {}


def match_pictures(rows: pd.DataFrame, found: dict[str, str]) -> pd.Series:
    """The path of each row's image: `<md5hash>.jpg`, else what `url_alphanum` names; missing where neither is there."""
    by_hash = (rows["md5hash"] + ".jpg").map(found)
    return by_hash.where(by_hash.notna(), rows["url_alphanum"].map(found))


def fetch_images(root: Path, progress: Progress) -> None:
    """Download the table where it is missing, and every image that is not there yet.

    What cannot be had is listed in `not_downloaded.csv` with the reason and asked for again the next time. A host that
    does not answer any more is given up.

    Args:
        root: folder of the data set; made where it is missing.
        progress: told of images; may raise to stop, and what is there is kept.

    Raises:
        DataError: the table cannot be had, the disk is full, or not one image came.
    """
    table = root / TABLE_FILE
    if not table.is_file():
        download(WebFile(url=TABLE_URL, max_bytes=MAX_TABLE_BYTES), table, rules=TABLE_RULES, progress=progress)
    rows = read_rows(table).drop_duplicates("md5hash")
    wanted = rows[match_pictures(rows, find_pictures(root)).isna()]
    num_there = len(rows) - len(wanted)
    failed: list[tuple[str, str, str]] = []
    silent: dict[str, int] = {}
    try:
        ensure_dir(root / IMAGE_FOLDER)
        for done, (name, url) in enumerate(zip(wanted["md5hash"], wanted["url"], strict=True)):
            progress("downloading images", done, len(wanted))
            reason = _fetch_politely(url, root / IMAGE_FOLDER / f"{name}.jpg", silent)
            if reason:
                failed.append((name, url, reason))
        _write_failed(root / FAILED_FILE, failed)
    except OSError as error:
        raise DataError(
            f"The images cannot be written to {root}: {error}. Check free space and permissions, then start again."
        ) from error
    progress("downloading images", len(wanted), len(wanted))
    if len(failed) == len(wanted) and not num_there:
        raise DataError(
            f"Not one of the {len(wanted):,} images could be downloaded; the first reason: {failed[0][2]}. All are in "
            f"{root / FAILED_FILE}. Try again later, or ask the authors for the images by the form in their README."
        )


def _fetch_politely(url: str, path: Path, silent: dict[str, int]) -> str:
    """Download one image; gives why that was not possible, or "". `silent` counts requests that a host left open."""
    host = urlsplit(url).netloc.lower() if url else ""
    if not host:
        return "the table has no address"
    if silent.get(host, 0) >= GIVE_UP_AFTER:
        return f"{host} does not answer"
    time.sleep(PAUSE_S)
    try:
        content = _read(url)
    except urllib.error.HTTPError as error:
        silent[host] = 0
        return f"the server answers {error.code}"
    except DataError as error:
        return str(error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        silent[host] = silent.get(host, 0) + 1
        return f"no answer ({getattr(error, 'reason', None) or error})"
    silent[host] = 0
    try:
        read_image_bytes(content, path.name)
    except UnreadableImageError as error:
        return f"no image: {error.reason}"
    write_atomically(path, lambda temporary: _write(temporary, content))
    return ""


def _read(url: str) -> bytes:
    """The whole answer, at most `MAX_IMAGE_BYTES`."""
    received = io.BytesIO()
    with open_url(quote(url, safe=":/?&=%+,;@~#"), IMAGE_RULES) as response:
        announced = response.headers.get("Content-Length", "")
        while chunk := response.read1(CHUNK_BYTES):
            received.write(chunk)
            if received.tell() > MAX_IMAGE_BYTES:
                raise DataError(f"it has more than {MAX_IMAGE_BYTES:,} bytes")
    if announced.isdigit() and received.tell() < int(announced):
        raise OSError("the server closed the connection")
    return received.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _write_failed(path: Path, failed: list[tuple[str, str, str]]) -> None:
    if not failed:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("md5hash", "url", "reason"), *failed])
    write_atomically(path, lambda temporary: _write(temporary, text.getvalue().encode()))
