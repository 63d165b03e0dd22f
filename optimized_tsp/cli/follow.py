"""The events of one job as they happen, over as many connections as it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import orjson
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from optimized_tsp.cli.client import (
    Job,
    Service,
    Unreachable,
    backoff,
    rejection,
    solver_path,
)
from optimized_tsp.cli.exit_codes import CommandError, ExitCode
from optimized_tsp.events.types import TERMINAL_EVENTS
from optimized_tsp.jobs.states import TERMINAL

__all__ = ["FollowedLog", "Follower", "WaitTimedOut"]

_OPEN_TIMEOUT_S = 10.0
# How long a server that has gone may hold up our leaving.
_CLOSE_TIMEOUT_S = 1.0
# The server sends a ping every 20 s.
_SILENCE_S = 50.0
_PATIENCE_S = 300.0
_SERVER_ERROR = 500
_POLICY_VIOLATION = 1008
# What is wrong with the client, as HTTP has it, plus 4000.
_CLIENT_ERRORS = range(4400, 4500)


class WaitTimedOut(CommandError):
    """The time to wait is over, the job is not; `again` is the command that goes on."""

    def __init__(self, again: str) -> None:
        message = f"the wait is over, the job goes on. Watch it again with: {again}"
        super().__init__(message, ExitCode.TIMED_OUT)


class _Dropped(Exception):
    """The connection is not there any more; another one may be had."""


class FollowedLog:
    """The lines of a job's log behind line `after`: written to `out` as `text` has them, once each.

    `after` goes on to the last one written.
    """

    def __init__(self, after: int, out: TextIO, text: Callable[[dict[str, Any]], str]) -> None:
        self.after = after
        self._out = out
        self._text = text

    def take(self, lines: Iterable[dict[str, Any]]) -> None:
        """Take lines in order, of which some may have been there before."""
        for line in lines:
            if line["line"] > self.after:
                self._out.write(self._text(line))
                self.after = line["line"]
        self._out.flush()


class Follower:
    """Iterates over every event of a job once, in order, up to the one that ends it.

    A job whose events are not kept any more just ends. A connection that drops is made anew, from
    the last cursor on; `say` is told so once. After `patience_s` without one: `Unreachable`.

    Args:
        job: its status at the moment.
        wait_s: raise `WaitTimedOut` after so many seconds; None waits as long as it takes.
        log: is told what the job's solver says meanwhile; not all of it when the job has ended.
        again: the command that goes on, said when this gives up; None: `watch`.
    """

    def __init__(
        self,
        service: Service,
        job: Job,
        *,
        say: Callable[[str], None],
        wait_s: float | None = None,
        patience_s: float = _PATIENCE_S,
        log: FollowedLog | None = None,
        again: Callable[[], str] | None = None,
    ) -> None:
        self._service = service
        self._job = job
        self._say = say
        self._deadline = float("inf") if wait_s is None else _now() + wait_s
        self._patience_s = patience_s
        self._log = log
        self._again = again or (lambda: service.address.command(f"watch {job['task_id']}"))
        self._seq = 0
        self._cursor: str | None = None
        self._ended = False
        self._dropped_at: float | None = None
        self._pauses = backoff()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from self._new(self._service.events(self._job, after=0))
        if self._job["status"] in TERMINAL:
            return
        while not self._ended:
            try:
                yield from self._one_connection()
            except _Dropped as drop:
                self._pause(str(drop))

    def _new(self, events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for event in events:
            if event["seq"] <= self._seq:
                continue
            self._seq, self._cursor = event["seq"], event["cursor"]
            self._ended = event["type"] in TERMINAL_EVENTS
            yield event

    def _one_connection(self) -> Iterator[dict[str, Any]]:
        with self._connected() as socket:
            answer = self._subscribe(socket)
            if answer["type"] == "expired":
                self._cursor = None
                self._subscribe(socket)
            if self._cursor is None:
                yield from self._new(self._stored())
            if self._dropped_at is not None:
                self._say("connected again")
                self._dropped_at = None
            while not self._ended:
                frame = self._receive(socket)
                if frame.get("type") == "event":
                    yield from self._new([frame["event"]])

    @contextmanager
    def _connected(self) -> Iterator[ClientConnection]:
        address = self._service.address
        path = solver_path(self._job["solver"], self._job["version"])
        try:
            with connect(
                f"{address.live_url}{path}/live",
                additional_headers=address.headers,
                proxy=None if address.is_local else True,
                open_timeout=_OPEN_TIMEOUT_S,
                close_timeout=_CLOSE_TIMEOUT_S,
                max_size=None,
            ) as socket:
                yield socket
        except InvalidStatus as refusal:
            status = refusal.response.status_code
            if status >= _SERVER_ERROR:
                raise _Dropped(f"the service answers {status}") from None
            raise rejection(status, _object(refusal.response.body)) from None
        except ConnectionClosed as closed:
            raise _ending(closed) from None
        except (WebSocketException, OSError) as error:
            raise _Dropped(str(error) or type(error).__name__) from None

    def _subscribe(self, socket: ClientConnection) -> dict[str, Any]:
        wanted: dict[str, Any] = {"type": "subscribe", "task_id": self._job["task_id"]}
        if self._cursor is not None:
            wanted["after"] = self._cursor
        if self._log is not None:
            wanted |= {"log": True, "log_after": self._log.after}
        socket.send(orjson.dumps(wanted).decode())
        while True:
            frame = self._receive(socket)
            if frame.get("type") in {"subscribed", "expired"}:
                return frame

    def _receive(self, socket: ClientConnection) -> dict[str, Any]:
        silence_ends = _now() + _SILENCE_S
        try:
            until = min(silence_ends, self._deadline)
            frame = _object(socket.recv(timeout=max(0.0, until - _now())))
        except TimeoutError:
            self._check_deadline()
            raise _Dropped(f"nothing was heard for {_SILENCE_S:g} s") from None
        if frame.get("type") == "ping":
            socket.send('{"type":"pong"}')
        elif frame.get("type") == "log" and self._log is not None:
            self._log.take(frame["lines"])
        elif frame.get("type") == "error":
            problem = frame["error"]
            if problem["status"] >= _SERVER_ERROR:
                raise _Dropped(problem["detail"])
            raise rejection(problem["status"], problem)
        return frame

    def _stored(self) -> list[dict[str, Any]]:
        try:
            return list(self._service.events(self._job, after=self._seq))
        except Unreachable as error:
            raise _Dropped(error.message) from None

    def _pause(self, reason: str) -> None:
        now = _now()
        if self._dropped_at is None:
            self._dropped_at = now
            self._pauses = backoff()
            self._say(f"the connection is lost ({reason}); trying again ...")
        elif now - self._dropped_at > self._patience_s:
            raise Unreachable(f"no connection ({reason}). Watch again with: {self._again()}")
        time.sleep(max(0.0, min(next(self._pauses), self._deadline - now)))
        self._check_deadline()

    def _check_deadline(self) -> None:
        if _now() >= self._deadline:
            raise WaitTimedOut(self._again())


def _now() -> float:
    return time.monotonic()


def _object(content: bytes | bytearray | str | None) -> dict[str, Any]:
    try:
        found = orjson.loads(content or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _ending(closed: ConnectionClosed) -> Exception:
    """Whether a connection that was closed may be had again."""
    if closed.rcvd is None:
        return _Dropped("it broke off")
    code, reason = closed.rcvd.code, closed.rcvd.reason
    if code == _POLICY_VIOLATION:
        return rejection(403, {"detail": reason})
    if code in _CLIENT_ERRORS:
        return rejection(code - 4000, {"detail": reason})
    return _Dropped(reason or f"closed with {code}")
