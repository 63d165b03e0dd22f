"""Requests over many connections that stay open, with as little work per request as can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

__all__ = ["post_request", "send_all"]


def post_request(host: str, path: str, body: bytes, **headers: str) -> bytes:
    """The bytes of a POST with a JSON body; `Idempotency_Key` becomes `Idempotency-Key`."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def send_all(
    port: int, requests: Sequence[bytes], *, connections: int
) -> tuple[float, list[float], dict[int, int]]:
    """Send all requests; returns seconds, each one's milliseconds, and answers by status."""
    waiting = iter(requests)
    times: list[float] = []
    statuses: dict[int, int] = {}
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for request in waiting:
            began = time.perf_counter()
            writer.write(request)
            status = await _answer(reader)
            times.append((time.perf_counter() - began) * 1000)
            statuses[status] = statuses.get(status, 0) + 1

    began = time.perf_counter()
    await asyncio.gather(*(work(*pair) for pair in opened))
    seconds = time.perf_counter() - began
    for _, writer in opened:
        writer.close()
    return seconds, times, statuses


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read one answer to its end; returns its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    start = lower.index(b"content-length:") + len(b"content-length:")
    length = int(lower[start : lower.index(b"\r\n", start)])
    await reader.readexactly(length)
    return int(head[9:12])
