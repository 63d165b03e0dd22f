"""Names to addresses, with the system's resolver, never holding up anything else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address

from optimized_tsp.webhooks.address import IPAddress

__all__ = ["Resolve", "SystemResolver"]

Resolve = Callable[[str], Awaitable[Sequence[IPAddress]]]
"""The addresses of a name, best first; raises OSError when it has none."""

_LOOK_UPS_AT_ONCE = 64


class SystemResolver:
    """`getaddrinfo` in a thread for each call.

    It cannot be interrupted, and a dead name server holds it for half a minute: threads of the
    event loop's pool would be missed by others, and would be waited for when the process ends.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_LOOK_UPS_AT_ONCE)

    async def __call__(self, host: str) -> list[IPAddress]:
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[IPAddress]] = loop.create_future()

        def settle(found: list[IPAddress] | Exception) -> None:
            self._free.release()
            if answer.cancelled():
                return
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def look_up() -> None:
            found: list[IPAddress] | Exception
            try:
                found = _addresses(host)
            except Exception as error:  # noqa: BLE001 - raised where it is awaited
                found = error
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(settle, found)

        try:
            threading.Thread(target=look_up, name="resolve", daemon=True).start()
        except RuntimeError:  # there are too many threads, and so nobody who would release it
            self._free.release()
            raise
        return await answer


def _addresses(host: str) -> list[IPAddress]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    # Each once, in the order of the system (RFC 6724).
    return list(dict.fromkeys(ip_address(address[0]) for *_, address in found))
