"""What a client may do to a connection while it is being sent something."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from optimized_tsp.live.peer import Gone, Peer
from optimized_tsp.live.protocol import RESET_EXTENSION, WRITE_EXTENSION, websocket_options

HANDSHAKE = b"""GET / HTTP/1.1\r
Host: here\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Key: %b\r
\r
""" % base64.b64encode(bytes(16))
RESERVED_OPCODE = b"\x83\x80" + bytes(4)
MUCH = "x" * 10_000


async def test_a_peer_that_breaks_the_protocol_while_it_is_sent_something_is_gone() -> None:
    unread, last = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = scope["extensions"]
        writer = extensions[WRITE_EXTENSION]["writer"]
        peer = Peer(WebSocket(scope, receive, send), extensions[RESET_EXTENSION]["reset"], writer)
        await peer.accept()
        while not writer._transport.get_write_buffer_size():
            await peer.send(MUCH)
        unread.set()
        with pytest.raises(Gone):
            await peer.receive()
        try:
            await peer.send("what it asked for before")
        except Exception as error:  # noqa: BLE001 - which one is the question
            last.set_result(error)

    async with _serving(app) as port, asyncio.timeout(20):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # takes nearly nothing
            client.connect(("127.0.0.1", port))
            client.sendall(HANDSHAKE)
            await unread.wait()
            client.sendall(RESERVED_OPCODE)
            assert isinstance(await last, Gone)


@asynccontextmanager
async def _serving(app: ASGIApp) -> AsyncIterator[int]:
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, **websocket_options())
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - a flag of uvicorn's
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving
