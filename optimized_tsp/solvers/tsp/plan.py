"""How a graph is to be solved: what the parameters leave to decide inside."""

from __future__ import annotations

from dataclasses import dataclass

from optimized_tsp.solvers.tsp.parameters import Engine

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """`threads` is 1 in a deterministic solve, where nothing may depend on the clock."""

    engine: Engine
    threads: int
    seed: int
    deterministic: bool = False
