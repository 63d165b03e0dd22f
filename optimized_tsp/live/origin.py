"""Which web pages may open the feed in a browser."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = ["origin_allowed"]


def origin_allowed(origin: str | None, host: str | None) -> bool:
    """Whether a page of `origin` may connect to a service that was addressed as `host`.

    Browsers always send `Origin` with a websocket handshake and pages cannot change it; a caller
    without one is no browser. Allowed are pages of the same host and pages of this machine.
    """
    if origin is None:
        return True
    page = _host_name(origin)
    return page is not None and (_is_loopback(page) or page == _host_name(f"http://{host}"))


def _host_name(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.hostname if parts.scheme in {"http", "https"} else None


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
