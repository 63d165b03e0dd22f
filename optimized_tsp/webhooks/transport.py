"""One HTTP request to a stranger's server: bounded in time and size, to a checked address only.

httpcore and not httpx: a connection is made for one request, so there are no redirects, no proxy
variables, no cookies, no netrc and no decompression that would have to be switched off.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore
import httpx

from optimized_tsp.webhooks.address import (
    AddressPolicy,
    IPAddress,
    RefusedAddress,
    Target,
    check_url,
)
from optimized_tsp.webhooks.resolve import Resolve

__all__ = ["Answer", "NoAnswer", "Transport", "trusted_authorities"]

MAX_RESPONSE_BYTES = 64 * 1024
"""Read of a response, head and body together; then the connection is closed."""

_ADDRESSES_TRIED = 4
# An address that does not answer leaves time for the next one.
_CONNECT_S = 5.0
_ANY_PORT = 9
_BROKEN = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    ssl.SSLError,  # in the middle of a conversation
    OSError,
)


class NoAnswer(Exception):
    """No response came; the message is for the owner of the webhook."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of a response."""

    status: int
    retry_after: str | None
    """The header of that name (RFC 9110, 10.2.3), as it came."""


class Transport:
    """Posts to webhook URLs."""

    def __init__(
        self,
        policy: AddressPolicy,
        authorities: ssl.SSLContext,
        resolve: Resolve,
        *,
        timeout_s: float,
    ) -> None:
        self._policy = policy
        self._authorities = authorities
        self._resolve = resolve
        self._timeout_s = timeout_s

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send `body`; ends within the time limit whatever the other side does.

        The head of the response is the answer: what comes after it is read for politeness. Raises
        `NoAnswer`, or `RefusedAddress` for a URL or address that may not be connected to.
        """
        answer: Answer | None = None
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._exchange(url, headers, body) as response,
            ):
                answer = Answer(response.status, _header(response, b"retry-after"))
                async for _ in response.aiter_stream():
                    pass
        except TimeoutError:
            if answer is None:
                raise NoAnswer(f"No answer within {self._timeout_s:g} s.") from None
        except (NoAnswer, *_BROKEN) as error:
            if answer is None:
                raise NoAnswer(_reason(error)) from error
        assert answer is not None  # noqa: S101 - the block above ended, so there was a response
        return answer

    @asynccontextmanager
    async def _exchange(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> AsyncIterator[httpcore.Response]:
        target = check_url(url, self._policy)
        network = _ToAddresses(await self._addresses(target))
        connection = httpcore.AsyncHTTPConnection(
            origin=_url(target).origin,
            ssl_context=self._authorities,
            network_backend=network,
        )
        try:
            async with connection.stream(
                "POST",
                _url(target),
                headers=[
                    ("Host", target.authority),
                    ("Content-Length", str(len(body))),
                    ("Accept-Encoding", "identity"),
                    ("Connection", "close"),
                    *headers.items(),
                ],
                content=body,
            ) as response:
                yield response
        finally:
            await connection.aclose()
            await network.aclose()

    async def _addresses(self, target: Target) -> Sequence[IPAddress]:
        """Where to connect to; resolved once, so that no second answer can be another one."""
        addresses: Sequence[IPAddress]
        if target.address is not None:
            addresses = [target.address]
        else:
            try:
                addresses = await self._resolve(target.host)
            except (OSError, UnicodeError) as error:
                raise NoAnswer("The name of the host does not resolve.") from error
        self._policy.check(addresses)
        for address in addresses:
            if _is_this_machine(address) and not self._policy.allows_specially(address):
                raise RefusedAddress("The host has an address that is not public.")
        return addresses[:_ADDRESSES_TRIED]


def trusted_authorities(ca_file: Path | None) -> ssl.SSLContext:
    """What certificates are verified with; raises OSError for a file that cannot be read."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


class _ToAddresses(httpcore.AsyncNetworkBackend):
    """Connects to addresses instead of resolving; TLS and `Host` still go by the name."""

    def __init__(self, addresses: Sequence[IPAddress]) -> None:
        self._addresses = addresses
        self._sockets = httpcore.AnyIOBackend()
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses:
            try:
                stream = await self._sockets.connect_tcp(str(address), port, timeout=_CONNECT_S)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                self._stream = stream
                return _Bounded(stream)
        raise failure

    async def aclose(self) -> None:
        """Close what was opened: a TLS handshake that is broken off leaves its socket open."""
        if self._stream is not None:
            await self._stream.aclose()


class _Bounded(httpcore.AsyncNetworkStream):
    """A stream of which only so much is read, head and body, informational responses and all."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = MAX_RESPONSE_BYTES

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if self._left == 0:
            raise NoAnswer(f"The head of the answer is longer than {MAX_RESPONSE_BYTES} bytes.")
        data = await self._stream.read(min(max_bytes, self._left), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return _Bounded(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _url(target: Target) -> httpcore.URL:
    return httpcore.URL(
        scheme=target.scheme, host=target.host, port=target.port, target=target.path
    )


def _header(response: httpcore.Response, name: bytes) -> str | None:
    values = [value for key, value in response.headers if key.lower() == name]
    return values[0].decode("latin-1") if values else None


def _is_this_machine(address: IPAddress) -> bool:
    """Whether a public address is our own: from here, services that trust it may be open.

    Connecting a datagram socket sends nothing; it makes the system choose the source address.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), _ANY_PORT))
        except OSError:
            return False  # no way there at all, as connecting will tell
        return bool(probe.getsockname()[0] == str(address))


def _reason(error: Exception) -> str:
    """A sentence for the owner of the webhook, without anything of ours."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and isinstance(cause, Exception):
        causes.append(cause)
    for cause in reversed(causes):  # what happened first says most
        match cause:
            case NoAnswer():
                return str(cause)
            case ssl.SSLCertVerificationError():
                return f"The certificate was not accepted: {cause.verify_message}."
            case ssl.SSLError():
                return f"TLS failed: {cause.reason or 'the other side ended it'}."
            case ConnectionRefusedError():
                return "The connection was refused."
            case httpcore.ConnectTimeout():
                return f"No connection within {_CONNECT_S:g} s."
            case httpcore.ConnectError():
                return "No connection could be made."
            case httpcore.ProtocolError():
                return "The answer was no HTTP response."
    return "The connection was closed before an answer."
