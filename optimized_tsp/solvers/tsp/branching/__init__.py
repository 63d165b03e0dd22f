"""Branch and cut on the core of a relaxation: the proof of an optimal tour."""

from __future__ import annotations

from optimized_tsp.solvers.tsp.branching.tree import TreeResult, prove

__all__ = ["TreeResult", "prove"]
