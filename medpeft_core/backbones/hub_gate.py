"""The way to the Hugging Face Hub: which address a download would speak to, and whether it can be reached. Light."""

import os
import socket
import urllib.parse
import urllib.request

HUB_HOST = "huggingface.co"
CONNECT_TIMEOUT_S = 3.0


def find_gate_to_hub() -> tuple[str, int]:
    """Host and port that a download would speak to first: the proxy where one is set, else the hub or its mirror."""
    endpoint = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT") or f"https://{HUB_HOST}")
    proxy = urllib.request.getproxies().get(endpoint.scheme)
    is_direct = not proxy or urllib.request.proxy_bypass(endpoint.hostname or HUB_HOST)
    gate = endpoint if is_direct or not proxy else urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return gate.hostname or HUB_HOST, gate.port or (80 if gate.scheme == "http" else 443)


def is_hub_in_reach() -> bool:
    """Whether the hub, or the proxy before it, answers within seconds, and nobody set `HF_HUB_OFFLINE`."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        return False
    try:
        socket.create_connection(find_gate_to_hub(), timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True
