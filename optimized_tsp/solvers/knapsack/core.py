"""CP-SAT on growing cores: first the items whose fate is least clear, in the end all of them.

Most items of a large knapsack are decided by their value per weight; only those near the break item
are a real choice (the *core*, Balas and Zemel 1980). CP-SAT solves small cores at once where the
whole problem would keep it busy for minutes; every better selection decides more items for good.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimized_tsp.solvers.contract import StopSignal
from optimized_tsp.solvers.knapsack.relaxation import Relaxation
from optimized_tsp.solvers.knapsack.search import Search

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

__all__ = ["CoreSearch"]

_FIRST_CORE = 64
_GROWTH = 4
# CP-SAT spends minutes presolving larger ones, during which it finds nothing and is slow to stop.
_LARGEST_CORE = 16_384
_RANDOM_CORE = 256
_SHARE_OF_TIME = 0.25  # a core that proves nothing gets no more of what is left
_STOP_POLL_S = 0.02


@dataclass(slots=True)
class CoreSearch:
    """Improves the best selection and the bound until they meet or the search is over."""

    search: Search
    relaxation: Relaxation
    seed: int
    threads: int
    cores: int = 0

    def run(self) -> None:
        """Solve growing cores around the break item until one holds all that is undecided.

        Where that would be too large, solve random cores around the best selection instead.
        """
        size, choice = _FIRST_CORE, random.Random(self.seed)  # noqa: S311 - no secret
        while not self.search.over():
            undecided = self.relaxation.undecided(self.search.value)
            if len(undecided) <= min(size, _LARGEST_CORE):
                self._solve(undecided, self.relaxation.takes, proves=True)
                return
            if size <= _LARGEST_CORE:
                self._solve(undecided[:size], self.relaxation.takes, proves=False)
                size *= _GROWTH
            else:
                places = choice.sample(undecided, _RANDOM_CORE)
                self._solve(places, self.search.taken.__contains__, proves=False)

    def _solve(self, places: Sequence[int], takes: Callable[[int], bool], *, proves: bool) -> None:
        self.cores += 1
        limit_s = self.search.remaining() * (1.0 if proves else _SHARE_OF_TIME)
        core = _Core(self.search, places, takes, proves=proves)
        core.solve(seed=self.seed, threads=self.threads, limit_s=max(0.0, limit_s))


class _Core:
    """A choice between some candidates, while all others stay as `takes` has them.

    `proves` says that every undecided candidate is in the core: then no selection is worth more
    than the best of the core, or than the best known one, whichever is more.
    """

    def __init__(
        self, search: Search, places: Sequence[int], takes: Callable[[int], bool], *, proves: bool
    ) -> None:
        candidates, inside = search.candidates, set(places)
        others = (place for place in range(len(candidates.values)) if place not in inside)
        self._search = search
        self._places = places
        self._proves = proves
        self._outside = [place for place in others if takes(place)]
        self._value_outside = sum(candidates.values[i] for i in self._outside)
        self._room = candidates.capacity - sum(candidates.weights[i] for i in self._outside)

    def solve(self, *, seed: int, threads: int, limit_s: float) -> None:
        """Offer every better selection to the search, and every bound where it proves one."""
        from ortools.sat.python import cp_model

        model, take = self._model()
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = threads
        solver.parameters.random_seed = seed
        solver.parameters.max_time_in_seconds = limit_s
        if self._proves:
            solver.best_bound_callback = self._limit_value
        with _stopping(solver, self._search.stop, limit_s):
            status = solver.solve(model, _listener(take, self._offer))
        if status == cp_model.MODEL_INVALID:
            raise RuntimeError(f"CP-SAT refused the model: {model.validate()}")
        if self._proves and status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            self._limit_value(solver.best_objective_bound)
        elif self._proves and status == cp_model.INFEASIBLE:
            self._search.limit_value(self._search.value)

    def _model(self) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
        from ortools.sat.python import cp_model

        candidates = self._search.candidates
        model = cp_model.CpModel()
        take = [model.new_bool_var("") for _ in self._places]
        for choice, place in zip(take, self._places, strict=True):
            model.add_hint(choice, place in self._search.taken)
        weights = [candidates.weights[place] for place in self._places]
        values = [candidates.values[place] for place in self._places]
        model.add(cp_model.LinearExpr.weighted_sum(take, weights) <= self._room)
        model.maximize(cp_model.LinearExpr.weighted_sum(take, values))
        return model, take

    def _offer(self, chosen: Iterable[bool]) -> None:
        inside = [place for place, yes in zip(self._places, chosen, strict=True) if yes]
        self._search.offer([*self._outside, *inside])

    def _limit_value(self, bound: float) -> None:
        # Values add up to less than 2^53, so that this integer is exact as a double.
        self._search.limit_value(max(self._search.value, self._value_outside + round(bound)))


def _listener(
    take: list[cp_model.IntVar], offer: Callable[[Iterable[bool]], None]
) -> cp_model.CpSolverSolutionCallback:
    from ortools.sat.python import cp_model

    class Listener(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            offer([self.boolean_value(choice) for choice in take])

    return Listener()


@contextmanager
def _stopping(solver: cp_model.CpSolver, stop: StopSignal, limit_s: float) -> Iterator[None]:
    """Stop CP-SAT when somebody asks for it or the time is up.

    The order is given again and again, because one that comes before the search has begun is lost.
    """
    until = time.monotonic() + limit_s
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if stop.wait(_STOP_POLL_S) or time.monotonic() >= until:
                solver.stop_search()
                done.wait(_STOP_POLL_S)

    watcher = threading.Thread(target=watch, name="stop", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
