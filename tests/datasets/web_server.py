"""A server on 127.0.0.1 that gives files in parts, breaks off, redirects or lies, as a test wants it."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from medpeft_core.datasets.web_addresses import AddressRules

LOCAL = AddressRules(hosts=("127.0.0.1",), may_be_private=True)


@dataclass
class Site:
    """What the server gives.

    Attributes:
        files: path -> content; "?..." belongs to the path.
        statuses: path -> answers other than 200, one for each request until they are used up.
        redirects: path -> where to.
        cut_after: bytes after which the next answer breaks off, once.
        takes_ranges: false for a server that always sends the whole file.
        asked: path and Range header of each request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    takes_ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""


@contextlib.contextmanager
def serve() -> Iterator[Site]:
    """A running server; its `address` is such as "http://127.0.0.1:40001"."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, site)

        def log_message(self, *_: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, site: Site) -> None:
    path, wanted = handler.path, handler.headers.get("Range")
    site.asked.append((path, wanted))
    if path in site.redirects:
        handler.send_response(302)
        handler.send_header("Location", site.redirects[path])
        handler.end_headers()
        return
    if site.statuses.get(path):
        handler.send_error(site.statuses[path].pop(0))
        return
    if path not in site.files:
        handler.send_error(404)
        return
    content = site.files[path]
    begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and site.takes_ranges else 0
    if begin >= len(content) and begin:
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(content)}")
        handler.end_headers()
        return
    handler.send_response(206 if begin else 200)
    if begin:
        handler.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(content) - begin))
    handler.end_headers()
    end = len(content)
    if site.cut_after is not None:
        end, site.cut_after = begin + site.cut_after, None
    with contextlib.suppress(OSError):
        handler.wfile.write(content[begin:end])
