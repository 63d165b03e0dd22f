"""Keeps processes running: a dead one is started again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from optimized_tsp.embedded.errors import ProcessFailed
from optimized_tsp.embedded.process import Process, bound_log

__all__ = ["Report", "SignalWatch", "StopRequested", "Supervisor"]

Report = Callable[[str], None]
"""Tells the person in front of the terminal."""

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
_STEADY_AFTER_S = 10.0
_DEATHS_BEFORE_ALARM = 3
_DEATHS_PER_REMINDER = 60
_LOG_CHECK_S = 60.0
_IDLE_S = 1.0


class StopRequested(Exception):
    """Somebody asked us to stop, with this signal."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


class SignalWatch:
    """Takes signals only where we wait, so that none arrives in the middle of something.

    While the `with` block runs they are blocked; `pause` picks them up. The launcher unblocks them
    for the programs we start.
    """

    def __init__(self) -> None:
        stops = {signal.SIGINT, signal.SIGTERM}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means: keep running
            stops.add(signal.SIGHUP)
        self._stops = frozenset(stops)

    def __enter__(self) -> SignalWatch:
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, self._stops | {signal.SIGCHLD})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while signal.sigtimedwait(self._stops, 0) is not None:
            pass  # impatient repetitions; they must not hit us once unblocked
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def pause(self, seconds: float) -> None:
        """Wait that long, or until a child ends; raise `StopRequested` when asked to stop."""
        caught = signal.sigtimedwait(self._stops | {signal.SIGCHLD}, max(seconds, 0.0))
        if caught is not None and caught.si_signo in self._stops:
            raise StopRequested(signal.Signals(caught.si_signo))


@dataclass
class _Care:
    """What we know of a process we keep running."""

    process: Process
    started_at: float
    deaths: int = 0
    restart_at: float | None = None
    said_of_log: str = ""

    @property
    def delay_s(self) -> float:
        return float(min(_FIRST_DELAY_S * 2 ** (self.deaths - 1), _LONGEST_DELAY_S))


class Supervisor:
    """Restarts processes with growing pauses; one that stays up for a while starts over at zero."""

    def __init__(self, watch: SignalWatch, report: Report) -> None:
        self._watch = watch
        self._report = report
        self._cares: list[_Care] = []
        self._check_logs_at = time.monotonic()

    def keep_running(self, processes: Sequence[Process]) -> None:
        """Restart these, which were just started, from now on."""
        now = time.monotonic()
        self._cares.extend(_Care(process, started_at=now) for process in processes)
        self._check_logs_at = now  # they go on with the logs of the run before

    def pause(self, seconds: float) -> None:
        """Wait that long while looking after the processes."""
        deadline = time.monotonic() + seconds
        while True:
            for care in self._cares:
                self._look_after(care)
            self._bound_logs()
            now = time.monotonic()
            if now >= deadline:
                return
            due = [care.restart_at for care in self._cares if care.restart_at is not None]
            self._watch.pause(min([deadline, now + _IDLE_S, *due]) - now)

    def keeps_dying(self, process: Process) -> bool:
        """Whether a process died several times in a row."""
        return any(
            care.process is process and care.deaths >= _DEATHS_BEFORE_ALARM for care in self._cares
        )

    def _look_after(self, care: _Care) -> None:
        now = time.monotonic()
        if care.restart_at is None:
            if not care.process.is_running():
                self._note_death(care, now)
            return
        if now >= care.restart_at:
            care.restart_at = None
            care.started_at = now
            try:
                care.process.start()
            except (OSError, ProcessFailed) as error:
                self._report(f"{care.process.name} cannot be started: {error}")
                self._note_death(care, now)

    def _note_death(self, care: _Care, now: float) -> None:
        if now - care.started_at >= _STEADY_AFTER_S:
            care.deaths = 0
        care.deaths += 1
        care.restart_at = now + care.delay_s
        care.process.kill()  # what it started must not work beside its successor
        if care.deaths == _DEATHS_BEFORE_ALARM:
            self._report(f"{care.process.name} keeps dying: it {care.process.last_words()}")
        elif care.deaths < _DEATHS_BEFORE_ALARM or care.deaths % _DEATHS_PER_REMINDER == 0:
            self._report(f"{care.process.name} {care.process.ending()}; starting it again")

    def _bound_logs(self) -> None:
        if time.monotonic() < self._check_logs_at:
            return
        self._check_logs_at = time.monotonic() + _LOG_CHECK_S
        for care in self._cares:
            try:
                bound_log(care.process.log)
            except OSError as error:
                self._complain_of_log(care, error)

    def _complain_of_log(self, care: _Care, error: OSError) -> None:
        """Once: a disk stays full for a while, and logs go on growing."""
        said = f"{care.process.log} was too large, and its older part could not be kept: {error}"
        if said != care.said_of_log:
            care.said_of_log = said
            self._report(said)
