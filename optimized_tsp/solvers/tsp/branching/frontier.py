"""The open nodes of the tree, shared by the workers."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable

from optimized_tsp.solvers.tsp.branching.node import Node

__all__ = ["Frontier"]

_LOOK_S = 0.2


class Frontier:
    """Open nodes, the lowest bound first, and those being worked on.

    Thread-safe. `over` ends everything; `cut_off` says whether a bound makes a node useless by now.
    """

    def __init__(self, over: Callable[[], bool], cut_off: Callable[[int], bool]) -> None:
        self._over = over
        self._cut_off = cut_off
        self._open: list[tuple[int, int, Node]] = []
        self._active: dict[int, Node] = {}
        self._unresolved: list[Node] = []
        self._count = 0
        self._failed = False
        self._changed = threading.Condition()
        self.nodes = 0

    def add(self, nodes: Iterable[Node]) -> None:
        """Open nodes."""
        with self._changed:
            for node in nodes:
                # Of two equal bounds the younger node goes first: it is the deeper one.
                self._count += 1
                heapq.heappush(self._open, (node.bound, -self._count, node))
            self._changed.notify_all()

    def take(self, worker: int) -> Node | None:
        """The open node with the lowest bound, waiting for others to open one; None at the end."""
        with self._changed:
            while not self._over() and not self._failed:
                while self._open:
                    _, _, node = heapq.heappop(self._open)
                    if not self._cut_off(node.bound):
                        self._active[worker] = node
                        self.nodes += 1
                        return node
                if not self._active:
                    break
                self._changed.wait(_LOOK_S)
            self._changed.notify_all()
            return None

    def finish(self, worker: int, children: Iterable[Node]) -> None:
        """The worker's node is done: every tour of it is in a child or useless."""
        self.add(children)
        with self._changed:
            del self._active[worker]
            self._changed.notify_all()

    def give_up(self, worker: int) -> None:
        """The worker's node cannot be resolved: its bound stays part of the answer."""
        with self._changed:
            self._unresolved.append(self._active.pop(worker))
            self._changed.notify_all()

    def fail(self) -> None:
        """A worker failed with an error: the others need not go on."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()

    def bound(self) -> int | None:
        """The lowest bound of all that is not done; None when everything is done."""
        with self._changed:
            bounds = [node.bound for node in (*self._active.values(), *self._unresolved)]
            if self._open:
                bounds.append(self._open[0][0])
            return min(bounds, default=None)

    @property
    def unresolved(self) -> int:
        return len(self._unresolved)
