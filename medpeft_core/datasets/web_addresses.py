"""Which addresses of the web may be asked for data, and connections that go nowhere else. Light.

A table of URLs is a file from somebody: without a rule it could send the lab to any machine of the network it runs in.
"""

import http.client
import ipaddress
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from medpeft_core.errors import DataError

TIMEOUT_S = 20.0
USER_AGENT = "medpeft-lab (research; https requests on a user's click)"


@dataclass(frozen=True, kw_only=True)
class AddressRules:
    """What may be asked, also after a redirect.

    Attributes:
        hosts: names such as "zenodo.org"; what lies below one ("www.zenodo.org") is fine too.
        may_be_private: whether these may be machines of one's own network; else only public addresses are connected to.
    """

    hosts: tuple[str, ...]
    may_be_private: bool = False

    def check(self, url: str) -> None:
        """Refuse a URL that is not http or https, or leads to another host.

        Raises:
            DataError: says which.
        """
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower().rstrip(".")
            _ = parts.port  # raises where it is no number
        except ValueError as error:
            raise DataError(f"{url!r} is no address of the web: {error}.") from error
        if parts.scheme not in ("http", "https"):
            raise DataError(f"{url!r} is not asked for: it must begin with http:// or https://.")
        if not any(host == name or host.endswith(f".{name}") for name in self.hosts):
            raise DataError(f"{url!r} is not asked for: it must lie at {' or '.join(self.hosts)}.")


def open_url(url: str, rules: AddressRules, *, headers: dict[str, str] | None = None) -> Any:
    """The response to a GET, to be used as a context manager; it has `status`, `headers` and `read1`.

    The system's proxies are used where there are any; these decide themselves which machine a name stands for.

    Raises:
        DataError: the rules forbid the address, or one that it leads to.
        urllib.error.HTTPError: the server answered with an error.
        OSError, http.client.HTTPException: it could not be reached, or went away.
    """
    rules.check(url)
    handlers: list[Any] = [_CheckedRedirects(rules)]
    if not rules.may_be_private and not _has_proxy(url):
        handlers += [urllib.request.ProxyHandler({}), _PublicHttpHandler(), _PublicHttpsHandler()]
    request = urllib.request.Request(url, headers={"User-Agent": USER_AGENT, **(headers or {})})
    return urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_S)


def _has_proxy(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.hostname or "")


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        self._rules.check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _PublicConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = _connect_public(self.host, self.port, self.timeout)


class _PublicTlsConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        plain = _connect_public(self.host, self.port, self.timeout)
        self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)


class _PublicHttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: Any) -> Any:
        return self.do_open(_PublicConnection, req)


class _PublicHttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: Any) -> Any:
        return self.do_open(_PublicTlsConnection, req)


def _connect_public(host: str, port: int, timeout: float | None) -> socket.socket:
    """A connection to the very address that was checked: asked a second time, a name may stand for another one."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(item[4][0]) for item in found]
    private = [item for item in addresses if not ipaddress.ip_address(item.partition("%")[0]).is_global]
    if private:
        raise DataError(f"{host} stands for {private[0]}, which is not a public address, so it is not asked.")
    last: OSError = OSError(f"{host} has no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            last = error
    raise last
