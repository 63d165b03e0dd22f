"""A search to hand to the parts of the engine, and what it heard."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from optimized_tsp.solvers.contract import Incumbent
from optimized_tsp.solvers.tsp import TspSolution
from optimized_tsp.solvers.tsp.graph import Graph
from optimized_tsp.solvers.tsp.search import Limits, Search


@dataclass
class Heard:
    """The stop signal of a search, and its reports in order."""

    stop: threading.Event = field(default_factory=threading.Event)
    reports: list[Incumbent[TspSolution]] = field(default_factory=list)


def search_on(graph: Graph, *, seconds: float = 30.0) -> tuple[Search, Heard]:
    """A search that ends after so many seconds or when its stop signal is set."""
    heard, started = Heard(), time.monotonic()
    search = Search(
        graph,
        started=started,
        limits=Limits(deadline=started + seconds),
        stop=heard.stop,
        on_incumbent=heard.reports.append,
    )
    return search, heard
