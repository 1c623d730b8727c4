"""Downloads: what is asked for, what is refused, and what becomes of a file that comes in pieces."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_server import LOCAL, Site, serve

from medpeft_core.datasets import DATASETS, downloads
from medpeft_core.datasets.downloads import WebFile, download
from medpeft_core.datasets.fetching import fetch_data, find_offer
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.datasets.web_addresses import AddressRules, open_url
from medpeft_core.errors import ConfigError, DataError, UnknownNameError

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(downloads, "RETRY_WAIT_S", 0.0)
    with serve() as served:
        served.files["/a.bin"] = CONTENT
        yield served


@pytest.fixture
def fetch(site: Site, tmp_path: Path) -> Any:
    """`fetch(path)` downloads from the server and gives the file."""

    def run(path: str = "/a.bin", *, progress: Any = ignore_progress, md5: str = "", max_bytes: int = 10**7) -> Path:
        target = tmp_path / "got" / "a.bin"
        file = WebFile(url=site.address + path, max_bytes=max_bytes, md5=md5)
        download(file, target, rules=LOCAL, progress=progress)
        return target

    return run


def list_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_download_gives_the_file_and_tells_how_far_it_is(site, fetch):
    told = []
    target = fetch(md5=hashlib.md5(CONTENT).hexdigest(), progress=lambda *news: told.append(news))
    assert target.read_bytes() == CONTENT
    assert list_files(target.parent) == ["a.bin"]
    ends = [news for news in told if news[0] == "downloading a.bin (KiB)"]
    assert ends[0][1:] == (0, 1000)
    assert ends[-1][1:] == (1000, 1000)


def test_a_stopped_download_goes_on_where_it_was(site, fetch, tmp_path):
    def stop(what: str, done: int, total: int) -> None:
        if done >= 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(progress=stop)
    have = (tmp_path / "got" / "a.bin.part").stat().st_size
    assert 300 * 1024 <= have < len(CONTENT)
    assert not (tmp_path / "got" / "a.bin").exists()
    assert fetch().read_bytes() == CONTENT
    assert site.asked == [("/a.bin", None), ("/a.bin", f"bytes={have}-")]


def test_a_lost_connection_is_taken_up_again(site, fetch):
    site.cut_after = 500_000
    assert fetch().read_bytes() == CONTENT
    assert site.asked[1] == ("/a.bin", "bytes=500000-")


def test_a_server_without_ranges_sends_the_whole_file_again(site, fetch):
    site.cut_after, site.takes_ranges = 500_000, False
    assert fetch().read_bytes() == CONTENT


def test_a_part_that_is_whole_is_not_asked_for_twice(site, fetch, tmp_path):
    part = tmp_path / "got" / "a.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    assert fetch(md5=hashlib.md5(CONTENT).hexdigest()).read_bytes() == CONTENT
    part.write_bytes(CONTENT + b"more")  # of another file
    assert fetch().read_bytes() == CONTENT


def test_an_answer_that_may_pass_is_asked_again_and_another_is_not(site, fetch):
    site.statuses["/a.bin"] = [503]
    assert fetch().read_bytes() == CONTENT
    with pytest.raises(DataError, match="the server answers 404"):
        fetch("/no.bin")
    assert [path for path, _ in site.asked] == ["/a.bin", "/a.bin", "/no.bin"]
    site.statuses["/a.bin"] = [503] * 9
    with pytest.raises(DataError, match="the server answers 503 .* Check the connection"):
        fetch()


def test_another_content_is_thrown_away(site, fetch, tmp_path):
    with pytest.raises(DataError, match="its MD5 is .* It was thrown away"):
        fetch(md5="0" * 32)
    assert list_files(tmp_path / "got") == []


def test_a_file_that_is_too_long_is_not_taken(site, fetch, tmp_path):
    with pytest.raises(DataError, match=r"has 1,024,000 bytes, but at most 1,000"):
        fetch(max_bytes=1000)
    assert not (tmp_path / "got" / "a.bin").exists()


def test_a_server_that_is_away_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "RETRY_WAIT_S", 0.0)
    with serve() as gone:
        address = gone.address
    with pytest.raises(DataError, match="refused.* Check the connection of this computer"):
        download(WebFile(url=f"{address}/a", max_bytes=9), tmp_path / "a", rules=LOCAL, progress=ignore_progress)


def test_redirects_are_followed_within_the_allowed_hosts_only(site, fetch):
    site.redirects["/moved"] = "/a.bin"
    assert fetch("/moved").read_bytes() == CONTENT
    for target in ("http://localhost:1/a.bin", "ftp://127.0.0.1/a"):
        site.redirects["/moved"] = target
        with pytest.raises(DataError, match=rf"{re.escape(repr(target))} is not asked for"):
            fetch("/moved")
    site.redirects["/moved"] = "file:///etc/passwd"
    with pytest.raises(DataError, match="is not allowed"):
        fetch("/moved")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "0.0.0.0"])
def test_no_private_address_is_asked_however_it_is_named(name, monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    rules = AddressRules(hosts=(name.strip("[]"),))
    with pytest.raises(DataError, match="not a public address"):
        open_url(f"http://{name}:9/secret", rules)


def test_rules_take_subdomains_and_nothing_that_only_looks_like_one():
    rules = AddressRules(hosts=("zenodo.org",))
    rules.check("https://zenodo.org/a")
    rules.check("http://www.ZENODO.org./a")
    for url in ("https://evil-zenodo.org/a", "https://zenodo.org.evil.com/", "https://zenodo.org@evil.com/", "/a", ""):
        with pytest.raises(DataError):
            rules.check(url)
    with pytest.raises(DataError, match="no address of the web"):
        rules.check("http://zenodo.org:port/")


def test_find_offer_asks_nobody_and_names_what_is_wrong():
    offer = find_offer("medmnist", None, {"name": "chestmnist", "size": 224})
    assert offer is not None
    assert offer.source.startswith("zenodo.org")
    assert offer.num_files == 1
    assert offer.is_limit
    assert 3_889_293_042 < offer.num_bytes < 5_700_000_000, "the published file has 3,889,293,042 bytes"
    assert find_offer("nih", None, {}) is None
    with pytest.raises(DataError, match=r"cannot download NIH ChestX-ray14\. Download images_001"):
        fetch_data(dataset="nih", root=None, options={}, progress=ignore_progress)
    with pytest.raises(ConfigError, match="data.size"):
        find_offer("medmnist", None, {"size": 99})
    with pytest.raises(UnknownNameError, match="medmnist"):
        find_offer("medmnits", None, {})


@pytest.mark.parametrize("name", [spec.name for spec in DATASETS if spec.offer])
def test_every_offer_states_source_size_and_licence(name):
    offer = find_offer(name, None, {})
    assert offer.source
    assert offer.licence
    assert offer.num_files > 0
    assert not offer.is_there
    assert DATASETS[name].fetch is not None
    assert offer.num_bytes or offer.note, "who does not know the size says so"
