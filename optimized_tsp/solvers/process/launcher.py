"""The parent's hold on its fork server and on the children forked for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from optimized_tsp.solvers.process.channel import Channel
from optimized_tsp.solvers.process.messages import (
    FORK,
    REAP,
    REPLY,
    REQUEST,
    SolverCrashed,
)

__all__ = ["Child", "ChildLauncher", "describe_exit"]

_ResultT = TypeVar("_ResultT")

_EXIT_GRACE_S = 1.0
# Files, memory, processes; and threads, of which asyncio may want one to wait for a process.
_SHORT_OF_SOMETHING = (OSError, RuntimeError)


@dataclass(slots=True)
class Child:
    """A forked solver process; `rss_bytes` (resident) and `threads` are what it had when new."""

    pid: int
    server: Process | None
    channel: Channel
    rss_bytes: int
    threads: int
    solves: int = 0


class ChildLauncher:
    """Starts the fork server, forks children from it and ends them.

    Requests to the server run as tasks of their own, one after the other: a caller who is cancelled
    leaves no half-read reply behind.
    """

    def __init__(self, *, preload: bool) -> None:
        self._preload = preload
        self._server: Process | None = None
        self._control: socket.socket | None = None
        self._closing = asyncio.Event()
        self._requesting = asyncio.Lock()
        self._requests: set[asyncio.Task[Any]] = set()

    async def fork(self) -> Child:
        """A new child, ready to solve; raise `SolverCrashed` if none can be started."""
        return await self._as_own_task(self._fork())

    async def discard(self, child: Child) -> int:
        """Kill the child unless it is dead; return its exit code (negative: a signal)."""
        child.channel.close()
        return await self._as_own_task(self._reap(child))

    async def replace(self, child: Child) -> Child:
        """A new child in place of one that is killed; raise `SolverCrashed` as `fork` does."""
        with contextlib.suppress(SolverCrashed):  # the server ended, and the child with it
            await self.discard(child)
        return await self.fork()

    async def close(self) -> None:
        """End the server and with it every child; requests under way fail."""
        self._closing.set()
        if self._control is not None:
            self._control.shutdown(socket.SHUT_RDWR)
        if self._requests:
            await asyncio.wait(self._requests)
        await self._end_server()

    async def _as_own_task(self, work: Coroutine[Any, Any, _ResultT]) -> _ResultT:
        task = asyncio.create_task(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        return await asyncio.shield(task)

    async def _fork(self) -> Child:
        ours, theirs = _connected_sockets()
        channel = Channel(ours)
        try:
            async with self._requesting:
                control = await self._running_server()
                pid = await self._ask(control, REQUEST.pack(FORK, 0), [theirs.fileno()])
                server = self._server
            theirs.close()
            _, ready = await channel.receive()
        except (EOFError, ConnectionError) as error:
            channel.close()
            raise SolverCrashed("the solver process ended before it was ready") from error
        except BaseException:
            channel.close()
            raise
        finally:
            theirs.close()
        return Child(pid, server, channel, **ready)

    async def _reap(self, child: Child) -> int:
        async with self._requesting:
            if self._control is None or child.server is not self._server:
                return -signal.SIGKILL  # its server ended, and the child with it
            return await self._ask(self._control, REQUEST.pack(REAP, child.pid))

    async def _ask(self, control: socket.socket, message: bytes, fds: Sequence[int] = ()) -> int:
        try:
            return await self._exchange(control, message, fds)
        except (EOFError, OSError) as error:  # of a question half asked the answer is unknown
            how = describe_exit(await self._end_server())
            raise SolverCrashed(f"the process that starts solvers ended: {how}") from error

    async def _exchange(self, control: socket.socket, message: bytes, fds: Sequence[int]) -> int:
        # A few bytes into an empty buffer: this does not block.
        socket.send_fds(control, [message], list(fds))
        reply = b""
        while len(reply) < REPLY.size:
            part = await asyncio.get_running_loop().sock_recv(control, REPLY.size - len(reply))
            if not part:
                raise EOFError
            reply += part
        code: int = REPLY.unpack(reply)[0]
        return code

    async def _running_server(self) -> socket.socket:
        if self._closing.is_set():
            raise SolverCrashed("the solver process was closed")
        if self._control is not None:
            return self._control
        ours, theirs = _connected_sockets()
        ours.settimeout(0)
        try:
            self._server = await _start_server(theirs, preload=self._preload)
        except _SHORT_OF_SOMETHING as error:
            ours.close()  # which ends a server that did start
            raise _cannot_start(error) from error
        finally:
            theirs.close()
        self._control = ours
        if self._closing.is_set():
            ours.shutdown(socket.SHUT_RDWR)
        return ours

    async def _end_server(self) -> int:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._server is None:
            return 0
        server, self._server = self._server, None
        try:
            return await asyncio.wait_for(server.wait(), _EXIT_GRACE_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                server.kill()
            return await server.wait()


def _connected_sockets() -> tuple[socket.socket, socket.socket]:
    try:
        return socket.socketpair()
    except OSError as error:
        raise _cannot_start(error) from error


def _cannot_start(error: Exception) -> SolverCrashed:
    return SolverCrashed(f"the solver process cannot be started: {error}")


async def _start_server(control: socket.socket, *, preload: bool) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # the working directory may hold anything, also a numpy.py
        "-m",
        "optimized_tsp.solvers.process.forkserver",
        str(control.fileno()),
        *(["preload"] if preload else []),
        pass_fds=[control.fileno()],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=2,  # native engines print; standard output belongs to our caller
        start_new_session=True,
        env=_server_environment(),
    )


def _server_environment() -> dict[str, str]:
    return {
        **os.environ,
        # Children see the same modules, and so the same solvers, as their parent.
        "PYTHONPATH": os.pathsep.join(path or str(os.getcwd()) for path in sys.path),  # noqa: PTH109
        # A thread pool per library would ignore the `threads` of a request, and forks lose threads.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def describe_exit(code: int) -> str:
    """How a process ended, for people: `SIGSEGV (Segmentation fault)` or `exit code 3`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
    meaning = signal.strsignal(-code) or "unknown"
    hint = ", often for lack of memory" if name == "SIGKILL" else ""
    return f"{name} ({meaning}{hint})"
