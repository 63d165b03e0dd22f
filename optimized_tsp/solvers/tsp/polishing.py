"""Tours found while something else is being proven, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from optimized_tsp.solvers.tsp.search import Search

__all__ = ["polishing"]


@contextmanager
def polishing(
    search: Search, improve: Callable[[Callable[[], bool]], None], *, enabled: bool
) -> Iterator[None]:
    """Run `improve(give_up)` beside the block, until the block ends or the search is over.

    What fails there is noted and costs nothing but better tours.
    """
    if not enabled:
        yield
        return
    done = threading.Event()

    def give_up() -> bool:
        return done.is_set() or search.over()

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="tours") as executor:
        improving = executor.submit(improve, give_up)
        try:
            yield
        finally:
            done.set()
        error = improving.exception()
        if error is not None:
            search.note_failure("tours", error)
