"""Cuts that were useful once, to look at before new ones are searched for."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np

from optimized_tsp.solvers.tsp.relaxation.cuts import Cut, CutTable

__all__ = ["CutPool"]


class CutPool:
    """Up to `most` different cuts; the oldest quarter goes when there are more. Thread-safe."""

    def __init__(self, most: int = 4000) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._keys: set[bytes] = set()
        self._content: tuple[list[Cut], CutTable] = ([], CutTable.of([]))

    @property
    def content(self) -> tuple[list[Cut], CutTable]:
        """The cuts, and a table of them; neither is changed later."""
        return self._content

    def add(self, cuts: Iterable[Cut]) -> None:
        """Keep cuts."""
        with self._lock:
            new = list({cut.key: cut for cut in cuts if cut.key not in self._keys}.values())
            if not new:
                return
            known, table = self._content
            all_cuts, table = known + new, table + CutTable.of(new)
            if len(all_cuts) > self._most:
                kept = np.arange(len(all_cuts)) >= self._most // 4
                all_cuts, table = all_cuts[self._most // 4 :], table.only(kept)
            self._content = all_cuts, table
            self._keys = {cut.key for cut in all_cuts}
