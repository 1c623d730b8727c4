"""A Hugging Face Hub on 127.0.0.1 that speaks what the real client asks: models, files in ranges, commits, refusals."""

import base64
import contextlib
import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub.constants
import pytest

TOKEN = "hf_testtoken"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REGULAR_BYTES = 1000  # larger files go the way of LFS, as on the hub


@dataclass
class FakeRepo:
    """One repository; `breaks` are the bytes after which the next answers break off, `slow` makes them drip."""

    files: dict[str, bytes] = field(default_factory=dict)
    licence: str = "mit"
    is_gated: bool = False
    is_private: bool = False
    breaks: list[int] = field(default_factory=list)
    lies: dict[str, bytes] = field(default_factory=dict)  # what is really sent for a file
    may_go_on: threading.Event | None = None  # waited for after the first bytes


@dataclass
class FakeHub:
    """The hub: its address, its repositories, and every request as "METHOD /path"."""

    endpoint: str
    repos: dict[str, FakeRepo] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


@contextlib.contextmanager
def open_hub() -> Iterator[FakeHub]:
    """Serve until the end of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    hub = FakeHub(endpoint=f"http://127.0.0.1:{server.server_address[1]}")
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing on stderr about clients that have left."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self._begin()
        if (model := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)) is not None:
            self._describe(model[1], model[2])
        elif (file := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)) is not None:
            self._send_file(file[1], file[3])
        else:
            self._refuse(404, "EntryNotFound")

    def do_POST(self) -> None:
        path = self._begin()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) if "Content-Length" in self.headers else b""
        body = body or self._read_chunks()
        if path == "/api/validate-yaml":
            self._send_json({"errors": [], "warnings": []})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "")
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif (model := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path)) is not None:
            files = [_plan(item) for item in json.loads(body)["files"]]
            self._send_json({"files": files})
        elif re.fullmatch(r"/[^/]+/[^/]+\.git/info/lfs/objects/batch", path):
            self._send_json({"transfer": "basic", "objects": [self._offer(o) for o in json.loads(body)["objects"]]})
        elif (model := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path)) is not None:
            self._commit(model[1], body)
        else:
            self._refuse(404, "EntryNotFound")

    def do_PUT(self) -> None:
        path = self._begin()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self._hub.objects[path.rpartition("/")[2]] = content
        self._send_json({})

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""

    @property
    def _hub(self) -> FakeHub:
        return self.server.hub  # type: ignore[attr-defined,no-any-return]

    def _begin(self) -> str:
        path = urllib.parse.unquote(self.path.partition("?")[0])
        self._hub.requests.append(f"{self.command} {path}")
        return path

    def _read_chunks(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return b""
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _find(self, name: str) -> FakeRepo | None:
        repo = self._hub.repos.get(name)
        if repo is None or (repo.is_private and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            self._refuse(401, "RepoNotFound")
            return None
        return repo

    def _describe(self, name: str, revision: str | None) -> None:
        repo = self._find(name)
        if repo is None:
            return
        if revision not in (None, "main", COMMIT):
            self._refuse(404, "RevisionNotFound")
            return
        siblings = []
        for path, content in repo.files.items():
            lfs = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            is_lfs = len(content) > REGULAR_BYTES
            siblings.append(
                {"rfilename": path, "size": len(content), "blobId": "0" * 40} | ({"lfs": lfs} if is_lfs else {})
            )
        card = {"cardData": {"license": repo.licence}, "tags": [f"license:{repo.licence}"]}
        about = {"_id": "1", "id": name, "modelId": name, "sha": COMMIT, "private": repo.is_private}
        self._send_json({**about, **card, "gated": "manual" if repo.is_gated else False, "siblings": siblings})

    def _send_file(self, name: str, path: str) -> None:
        repo = self._find(name)
        if repo is None:
            return
        if repo.is_gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(403, "GatedRepo")
            return
        if path not in repo.files:
            self._refuse(404, "EntryNotFound")
            return
        content = repo.lies.get(path, repo.files[path])
        start = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or ["", "0"])[1])
        self._hub.ranges.append(self.headers.get("Range", ""))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if repo.breaks:
            self.wfile.write(content[start : start + repo.breaks.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            return
        if repo.may_go_on is not None:
            half = (len(content) - start) // 2
            self.wfile.write(content[start : start + half])
            self.wfile.flush()
            repo.may_go_on.wait(30)
            start += half
        with contextlib.suppress(ConnectionError):  # the client has left
            self.wfile.write(content[start:])

    def _create(self, wanted: dict[str, object]) -> None:
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        if not name.startswith("me/"):
            self._refuse(403, "")
            return
        is_there = name in self._hub.repos
        is_private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        repo = self._hub.repos.setdefault(name, FakeRepo(is_private=is_private))
        self._send_json({"url": f"{self._hub.endpoint}/{name}", "private": repo.is_private}, 409 if is_there else 200)

    def _offer(self, item: dict[str, object]) -> dict[str, object]:
        return {**item, "actions": {"upload": {"href": f"{self._hub.endpoint}/lfs/{item['oid']}"}}}

    def _commit(self, name: str, body: bytes) -> None:
        repo = self._hub.repos[name]
        for line in body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                self._hub.messages.append(value["summary"])
            elif entry["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                repo.files[value["path"]] = self._hub.objects[value["oid"]]
        address = f"{self._hub.endpoint}/{name}/commit/{COMMIT}"
        self._send_json({"success": True, "commitOid": COMMIT, "commitUrl": address})

    def _send_json(self, value: object, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _plan(item: dict[str, object]) -> dict[str, object]:
    mode = "lfs" if int(str(item["size"])) > REGULAR_BYTES else "regular"
    return {"path": item["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}


def let_client_reach(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send the client of this test, and the processes that it starts, to the hub; nobody is logged in."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # uploads as one commit over HTTP
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nowhere/token")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
