"""Two rows for a running solve: what is known, and how far it is."""

from __future__ import annotations

from time import monotonic

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from optimized_tsp.solvers.process import Progress

__all__ = ["SolveProgress"]


class SolveProgress:
    """A live view of one solve; the bar shows the larger of time used and gap closed."""

    def __init__(self, title: str, *, time_limit_s: float) -> None:
        self._title = title
        self._time_limit_s = time_limit_s
        self._started_at = monotonic()
        self._latest: Progress | None = None
        self._first_gap: float | None = None

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
        row.add_row(
            Text(self._title, style="bold"),
            Text(_standing(self._latest) if self._latest else "looking for a first solution"),
            Text(f"{elapsed_s:.1f} s"),
        )
        bar = ProgressBar(total=1.0, completed=self._share(elapsed_s))
        yield Group(row, bar)

    def _share(self, elapsed_s: float) -> float:
        gap = self._latest.gap if self._latest else None
        closed = 1 - gap / self._first_gap if gap is not None and self._first_gap else 0.0
        return min(1.0, max(elapsed_s / self._time_limit_s, closed))


def _standing(progress: Progress) -> str:
    known = []
    if progress.cost is not None:
        known.append(f"cost {progress.cost:,}")
    if progress.lower_bound is not None:
        known.append(f"bound {progress.lower_bound:,}")
    if progress.gap is not None:
        known.append(f"gap {progress.gap:.2%}")
    return "  ".join(known)
