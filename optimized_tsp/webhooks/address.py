"""Where webhooks may go: which URLs are accepted, and which addresses are connected to.

A URL is judged twice. `check_url` reads it (no name is resolved), when it is registered and again
at every attempt; `AddressPolicy.check` judges each address a name resolves to, right before that
very address is connected to. Nothing else in the package reads a webhook's URL, so there is no
second parser that could understand it differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)

from optimized_tsp.core.config import Settings

__all__ = [
    "MAX_URL_LENGTH",
    "AddressPolicy",
    "IPAddress",
    "IPNetwork",
    "RefusedAddress",
    "Target",
    "check_url",
]

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

MAX_URL_LENGTH = 2048
"""Characters of the longest URL that is accepted."""

# IANA's special-purpose registry: everything there that is not reachable from anywhere, and what
# tunnels to somewhere else. Written out, as Python's `is_global` differs between versions.
_SPECIAL_IPV4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host; Linux connects to loopback
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier NAT; Alibaba's metadata service
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's own services on every machine, a public number
            "169.254.0.0/16",  # link local; metadata services
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved; broadcast
        ),
    )
)
# Public unicast is one block. Mapped and compatible IPv4, NAT64 (64:ff9b::), unique local, link
# local, site local and multicast lie outside.
_PUBLIC_IPV6 = IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address inside
            "3fff::/20",  # documentation
        ),
    )
)

# Names that never mean a host on the internet (RFC 6761, 6762, 7686, 8375; ICANN for `internal`).
_LOCAL_NAMES = ("localhost", "local", "internal", "home.arpa", "onion", "invalid", "test")

# From 1024 on, without those the Fetch standard blocks because other protocols live there.
_WEB_PORTS = frozenset({80, 443})
_FIRST_FREE_PORT = 1024
_LAST_PORT = 65535
_BLOCKED_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6679, 6697, 10080}
    | set(range(6665, 6670))
)

_DEFAULT_PORTS = {"https": 443, "http": 80}
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?"
)
_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?"
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_NAME_LENGTH = 253


class RefusedAddress(ValueError):
    """This URL or address is not delivered to; the message is for whoever gave it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was accepted, in the parts a request is made of."""

    scheme: str
    host: str
    """A lower-case name, or an address (IPv6 without brackets)."""
    port: int
    path: str
    """Path and query as they go into the request line."""

    @property
    def address(self) -> IPAddress | None:
        """The host when it is an address, None when it is a name to resolve."""
        return _address(self.host)

    @property
    def authority(self) -> str:
        """The `Host` header (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Public addresses by https; more only where the operator says so."""

    allow_http: bool = False
    networks: tuple[IPNetwork, ...] = ()
    """Networks that are allowed although they are not public."""

    @classmethod
    def from_settings(cls, settings: Settings) -> AddressPolicy:
        """What the operator allows."""
        return cls(
            settings.webhook_allow_http,
            tuple(ip_network(network) for network in settings.webhook_allowed_networks),
        )

    def allows_specially(self, address: IPAddress) -> bool:
        """Whether the operator named a network with this address."""
        return any(address in network for network in self.networks)

    def check(self, addresses: Iterable[IPAddress]) -> None:
        """Raise `RefusedAddress` unless every one of these may be connected to.

        Every one: a name with a public and a private address is nobody's honest mistake.
        """
        for address in addresses:
            if not (_is_public(address) or self.allows_specially(address)):
                raise RefusedAddress("The host has an address that is not public.")


def check_url(url: str, policy: AddressPolicy) -> Target:
    """Read a webhook's URL; raises `RefusedAddress` saying what would be right.

    No name is resolved and nothing connected to: what a name means is judged at each attempt.
    """
    if len(url) > MAX_URL_LENGTH:
        raise RefusedAddress(f"A URL has at most {MAX_URL_LENGTH} characters.")
    match = _URL.fullmatch(url)
    if _CHARACTERS.fullmatch(url) is None:
        raise RefusedAddress(
            "A URL consists of the ASCII characters of RFC 3986; write names in their xn-- form "
            "and other characters percent-encoded."
        )
    if match is None:
        raise RefusedAddress("Write the URL as https://name/path, without a fragment.")
    scheme = match["scheme"].lower()
    if scheme not in _DEFAULT_PORTS or (scheme == "http" and not policy.allow_http):
        raise RefusedAddress("The URL must begin with https://.")
    host, port = _authority(match["authority"], scheme)
    _check_port(port)
    _check_host(host, policy)
    return Target(scheme, host, port, f"{match['path'] or '/'}{match['query'] or ''}")


def _authority(text: str, scheme: str) -> tuple[str, int]:
    if "@" in text:
        raise RefusedAddress("A user name or password in the URL is not accepted.")
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise RefusedAddress("The host or the port of the URL is malformed.")
    port = _DEFAULT_PORTS[scheme] if match["port"] is None else int(match["port"])
    return match["host"].strip("[]").lower(), port


def _check_port(port: int) -> None:
    free = _FIRST_FREE_PORT <= port <= _LAST_PORT and port not in _BLOCKED_PORTS
    if not free and port not in _WEB_PORTS:
        raise RefusedAddress(f"Port {port} is not accepted: use 443, or a port from 1024 on.")


def _check_host(host: str, policy: AddressPolicy) -> None:
    address = _address(host)
    if address is not None:
        policy.check([address])
        return
    labels = host.split(".")
    if ":" in host or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        # 2130706433, 0x7f.1 and 0177.0.0.1 are all 127.0.0.1 to a resolver.
        raise RefusedAddress("An address is written as four decimal numbers or as [IPv6].")
    if len(host) > _MAX_NAME_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        raise RefusedAddress(
            "The host must be a name of letters, digits and hyphens, without a dot at its end."
        )
    if policy.networks:
        return  # inside a network short names are usual; the addresses decide
    if len(labels) == 1 or f".{host}".endswith(tuple(f".{name}" for name in _LOCAL_NAMES)):
        raise RefusedAddress("The host is a local name; only names on the internet are accepted.")


def _address(host: str) -> IPAddress | None:
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return None


def _is_public(address: IPAddress) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    return address in _PUBLIC_IPV6 and not any(address in network for network in _SPECIAL_IPV6)
