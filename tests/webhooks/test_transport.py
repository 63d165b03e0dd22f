"""One request to a stranger: only to a checked address, bounded whatever the stranger does."""

from __future__ import annotations

import asyncio
import functools
import socket
import time
import zlib
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from optimized_tsp.core.config import Settings
from optimized_tsp.webhooks.address import AddressPolicy, IPAddress, RefusedAddress
from optimized_tsp.webhooks.resolve import _LOOK_UPS_AT_ONCE, Resolve, SystemResolver
from optimized_tsp.webhooks.transport import (
    MAX_RESPONSE_BYTES,
    NoAnswer,
    Transport,
    _is_this_machine,
    trusted_authorities,
)
from tests.promises import promised
from tests.shortages import no_more_threads
from tests.webhooks import receiver as strangers
from tests.webhooks.certificates import Authority, make_authority
from tests.webhooks.hostile_urls import REFUSED_AS_WRITTEN, REFUSED_WHEN_RESOLVED
from tests.webhooks.receiver import Behaviour, Receiver, answer, receiver

LOOPBACK = AddressPolicy.from_settings(
    Settings(webhook_allow_http=True, webhook_allowed_networks="127.0.0.0/8")
)
TIMEOUT_S = 0.5


class Names:
    """A resolver that gives each question the next of its answers, the last one for ever."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[IPAddress]:
        self.asked.append(host)
        text = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [ip_address(part) for part in text.split()]


def transport(
    resolve: Resolve | None = None,
    *,
    policy: AddressPolicy = LOOPBACK,
    ca_file: Path | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Transport:
    return Transport(policy, _trusted(ca_file), resolve or SystemResolver(), timeout_s=timeout_s)


_trusted = functools.cache(trusted_authorities)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


@pytest.fixture
async def canary() -> AsyncIterator[Receiver]:
    """Listens on loopback; nobody has any business there."""
    async with receiver(answer()) as listening:
        yield listening


async def test_a_request_says_what_it_should_and_nothing_else() -> None:
    async with receiver(answer(204)) as stranger:
        done = await transport(Names("127.0.0.1")).post(
            stranger.url("hooks.example.org", "/a?b=c%20d"), {"X-One": "1"}, b"{}"
        )

    [request] = stranger.received
    assert (done.status, request.path, request.body) == (204, "/a?b=c%20d", b"{}")
    assert request.headers == {
        "host": f"hooks.example.org:{stranger.port}",
        "content-length": "2",
        "accept-encoding": "identity",
        "connection": "close",
        "x-one": "1",
    }


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (strangers.hang, "No answer within 0.5 s."),
        (strangers.drip_head, "No answer within 0.5 s."),
        (strangers.close, "The answer was no HTTP response."),
        (strangers.not_http, "The answer was no HTTP response."),
        (strangers.reset, "The connection was closed before an answer."),
        (strangers.endless_head, "The head of the answer is longer than 65536 bytes."),
        (strangers.endless_hints, "The head of the answer is longer than 65536 bytes."),
    ],
)
async def test_who_does_not_answer_costs_a_bounded_time(behaviour: Behaviour, reason: str) -> None:
    async with receiver(behaviour) as stranger:
        with promised(2, after_s=TIMEOUT_S), pytest.raises(NoAnswer) as caught:
            await transport().post(stranger.url(), {}, b"{}")

    assert str(caught.value) == reason


async def test_a_body_that_drips_for_ever_ends_with_the_attempt() -> None:
    async with receiver(strangers.drip_body) as stranger:
        begun = time.monotonic()
        with promised(2, after_s=TIMEOUT_S):
            done = await transport().post(stranger.url(), {}, b"{}")
            await stranger.until(lambda stranger: stranger.present == 0)

    assert done.status == 200  # received: that is what a 2xx says
    assert time.monotonic() - begun >= TIMEOUT_S


async def test_of_ten_gigabytes_sixty_four_kilobytes_are_read() -> None:
    async with receiver(strangers.ten_gigabytes) as stranger:
        with promised(5):
            done = await transport(timeout_s=10).post(stranger.url(), {}, b"{}")
            await stranger.until(lambda stranger: stranger.present == 0)

    assert done.status == 200
    # What the system's buffers take besides is some megabytes at most.
    assert MAX_RESPONSE_BYTES <= stranger.written < 16 * 2**20


async def test_a_gzip_bomb_stays_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(*_: object) -> None:
        raise AssertionError("unpacked")

    bomb = strangers.gzip_bomb()
    monkeypatch.setattr(zlib, "decompressobj", unpack)
    async with receiver(bomb) as stranger:
        assert (await transport().post(stranger.url(), {}, b"{}")).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(canary: Receiver, status: int) -> None:
    async with receiver(answer(status, f"Location: {canary.url()}")) as stranger:
        assert (await transport().post(stranger.url(), {}, b"{}")).status == status

    assert canary.connections == 0


async def test_proxies_of_the_environment_are_not_asked(
    canary: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, canary.url())
    async with receiver(answer()) as stranger:
        assert (await transport().post(stranger.url(), {}, b"{}")).status == 200

    assert canary.connections == 0


async def test_a_certificate_of_a_trusted_authority_for_the_name_is_accepted(
    authority: Authority,
) -> None:
    tls = authority.server("hooks.example.org")
    async with receiver(answer(), tls=tls) as stranger:
        post = transport(Names("127.0.0.1"), ca_file=authority.file, timeout_s=5).post
        assert (await post(stranger.url("hooks.example.org"), {}, b"{}")).status == 200

    assert stranger.received[0].headers["host"] == f"hooks.example.org:{stranger.port}"


BAD_CERTIFICATES = {
    "expired": ("hooks.example.org", -1, "certificate has expired"),
    "self-signed": ("hooks.example.org", 1, "self-signed certificate"),
    "another name": ("other.example.org", 1, "Hostname mismatch"),
    "unknown authority": ("hooks.example.org", 1, "unable to get local issuer certificate"),
}


@pytest.mark.parametrize("fault", BAD_CERTIFICATES)
async def test_a_bad_certificate_gets_no_request(authority: Authority, fault: str) -> None:
    host, days, reason = BAD_CERTIFICATES[fault]
    tls = authority.server(host, days=days, self_signed=fault == "self-signed")
    ca_file = None if fault == "unknown authority" else authority.file
    async with receiver(answer(), tls=tls) as stranger:
        with pytest.raises(NoAnswer, match=rf"The certificate was not accepted: {reason}.*\.$"):
            await transport(Names("127.0.0.1"), ca_file=ca_file, timeout_s=5).post(
                stranger.url("hooks.example.org"), {}, b"{}"
            )

    assert stranger.received == []


async def test_plain_http_where_tls_was_expected_is_a_failure() -> None:
    async with receiver(answer()) as stranger:
        with pytest.raises(NoAnswer, match=r"^(TLS failed|No answer|The connection was closed)"):
            await transport().post(stranger.url().replace("http", "https"), {}, b"{}")

    assert stranger.received == []


async def test_nobody_there_is_said_so() -> None:
    async with receiver(answer()) as stranger:
        pass
    with pytest.raises(NoAnswer, match="refused"):
        await transport().post(stranger.url(), {}, b"{}")


async def test_a_name_that_does_not_exist_is_said_so() -> None:
    with pytest.raises(NoAnswer, match="does not resolve"):
        await transport(timeout_s=20).post("http://hooks.invalid/", {}, b"{}")


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with receiver(answer()) as stranger:
        names = Names("127.0.0.3 127.0.0.1")  # nobody listens on the first
        assert (await transport(names).post(stranger.url("a.example.org"), {}, b"{}")).status == 200


@pytest.mark.parametrize("url", [*REFUSED_AS_WRITTEN, *REFUSED_WHEN_RESOLVED], ids=ascii)
async def test_no_hostile_url_reaches_the_canary(canary: Receiver, url: str) -> None:
    # Whatever such a name resolves to, here it is the canary's address.
    strict = transport(Names("127.0.0.1"), policy=AddressPolicy())
    with pytest.raises(RefusedAddress):
        await strict.post(url.format(port=canary.port), {}, b"{}")

    assert canary.connections == 0


@pytest.mark.parametrize(
    "answers",
    [
        ("127.0.0.2", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2 127.0.0.1"),
        ("127.0.0.2", "::ffff:127.0.0.1"),
    ],
)
async def test_a_rebinding_resolver_gets_no_connection_to_the_canary(
    canary: Receiver, answers: tuple[str, ...]
) -> None:
    """127.0.0.2 stands for the internet here: the one address that is allowed."""
    policy = AddressPolicy.from_settings(
        Settings(webhook_allow_http=True, webhook_allowed_networks="127.0.0.2/32")
    )
    names = Names(*answers)
    sender = transport(names, policy=policy)
    url = canary.url("rebind.example.org")

    # Nobody listens at the first address: connecting again or asking again would be tempting.
    with pytest.raises(NoAnswer, match="refused"):
        await sender.post(url, {}, b"{}")
    assert names.asked == ["rebind.example.org"]
    for _ in range(3):
        with pytest.raises(RefusedAddress):
            await sender.post(url, {}, b"{}")

    assert canary.connections == 0


async def test_a_name_with_one_private_address_is_refused_altogether(canary: Receiver) -> None:
    names = Names("127.0.0.2 127.0.0.1")
    policy = AddressPolicy.from_settings(
        Settings(webhook_allow_http=True, webhook_allowed_networks="127.0.0.2/32")
    )
    with pytest.raises(RefusedAddress):
        await transport(names, policy=policy).post(canary.url("a.example.org"), {}, b"{}")

    assert canary.connections == 0


def test_our_own_addresses_are_known() -> None:
    assert _is_this_machine(ip_address("127.0.0.1"))
    assert not _is_this_machine(ip_address("192.0.2.1"))


async def test_a_name_server_that_hangs_ends_with_the_attempt() -> None:
    async def hanging(_: str) -> list[IPAddress]:
        never: asyncio.Future[list[IPAddress]] = asyncio.get_running_loop().create_future()
        return await never

    with promised(2, after_s=TIMEOUT_S), pytest.raises(NoAnswer, match="within"):
        await transport(hanging).post("https://hooks.example.org/", {}, b"{}")


async def test_the_system_resolves_names_and_says_when_there_is_none() -> None:
    resolve = SystemResolver()
    assert ip_address("127.0.0.1") in await resolve("localhost")
    with pytest.raises(socket.gaierror):
        await resolve("hooks.invalid")


async def test_names_resolve_again_after_many_times_without_a_thread_to_look_them_up() -> None:
    resolve = SystemResolver()
    with no_more_threads():
        for _ in range(_LOOK_UPS_AT_ONCE):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await resolve("localhost")

    async with asyncio.timeout(30):
        assert ip_address("127.0.0.1") in await resolve("localhost")
