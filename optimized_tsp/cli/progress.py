"""Two rows for a running solve: what is known, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from optimized_tsp.cli.tables import printable
from optimized_tsp.solvers.process import Progress

__all__ = ["SolveProgress", "shown_live"]

_REFRESH_HZ = 10


class SolveProgress:
    """A live view of one solve; the bar shows the larger of time used and gap closed.

    With `waiting` nothing runs until `start` is called; the clock shows how long it has waited.
    """

    def __init__(self, title: str, *, time_limit_s: float, waiting: bool = False) -> None:
        self._title = printable(title)
        self._time_limit_s = time_limit_s
        self._waiting = waiting
        self._started_at = monotonic()
        self._latest: Progress | None = None
        self._first_gap: float | None = None

    def start(self, elapsed_s: float = 0.0) -> None:
        """It runs, and has done so for this long: sets the clock."""
        self._waiting = False
        self._started_at = monotonic() - elapsed_s

    def update(self, progress: Progress) -> None:
        """Take in what is new."""
        self._latest = progress
        if self._first_gap is None:
            self._first_gap = progress.gap

    def line(self, progress: Progress) -> str:
        """One line for a log."""
        return f"{progress.elapsed_s:8.2f} s  {_standing(progress)}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        elapsed_s = monotonic() - self._started_at
        row = Table.grid(padding=(0, 2))
        row.add_column()  # the only one that gives way where the terminal is narrow
        row.add_column(no_wrap=True)
        row.add_column(no_wrap=True)
        row.add_row(
            Text(self._title, style="bold", no_wrap=True, overflow="ellipsis"),
            Text(self._state()),
            Text(f"{elapsed_s:.1f} s"),
        )
        bar = ProgressBar(total=1.0, completed=self._share(elapsed_s))
        yield Group(row, bar)

    def _state(self) -> str:
        if self._waiting:
            return "waiting for a worker"
        return _standing(self._latest) if self._latest else "looking for a first solution"

    def _share(self, elapsed_s: float) -> float:
        if self._waiting:
            return 0.0
        gap = self._latest.gap if self._latest else None
        closed = 1 - gap / self._first_gap if gap is not None and self._first_gap else 0.0
        return min(1.0, max(elapsed_s / self._time_limit_s, closed))


@contextmanager
def shown_live(progress: SolveProgress, console: Console) -> Iterator[None]:
    """Keep the two rows on the terminal while the block runs; nothing where there is none."""
    if not console.is_terminal:
        yield
        return
    with Live(progress, console=console, refresh_per_second=_REFRESH_HZ, transient=True):
        yield


def _standing(progress: Progress) -> str:
    known = []
    if progress.cost is not None:
        known.append(f"cost {progress.cost:,}")
    if progress.lower_bound is not None:
        known.append(f"bound {progress.lower_bound:,}")
    if progress.gap is not None:
        known.append(f"gap {progress.gap:.2%}")
    return "  ".join(known)
