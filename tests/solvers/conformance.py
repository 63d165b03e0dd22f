"""What every solver must do, whatever it solves: inherit, say what to solve, get the tests.

class TestMySolver(SolverConformance):
    def solver(self): return MySolver()
    def easy(self): return {"items": [1, 2]}, 3
    ...
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from optimized_tsp.solvers.contract import (
    Incumbent,
    InvalidSolution,
    SolutionStatus,
    StopReason,
)
from optimized_tsp.solvers.registry import AnySolver
from tests.promises import promised

HEAVY_MODULES = ("numpy", "scipy", "ortools")
GENEROUS_S = 30.0


@dataclass
class Recording:
    """Everything a solver reported, and whether it ever reported twice at once."""

    stop_after_first: threading.Event | None = None
    incumbents: list[Incumbent[Any]] = field(default_factory=list)
    concurrent: bool = False
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, incumbent: Incumbent[Any]) -> None:
        if not self._busy.acquire(blocking=False):
            self.concurrent = True
            return
        self.incumbents.append(incumbent)
        if self.stop_after_first is not None and incumbent.solution is not None:
            self.stop_after_first.set()
        self._busy.release()


class SolverConformance:
    """Give `solver`, `easy`, `slow` and `wrong`; instances and solutions are JSON values."""

    def solver(self) -> AnySolver:
        """The solver under test."""
        raise NotImplementedError

    def easy(self) -> tuple[dict[str, Any], int]:
        """An instance that is proven within seconds, and its optimal cost."""
        raise NotImplementedError

    def slow(self) -> dict[str, Any]:
        """An instance that is not proven within seconds but soon has a first solution."""
        raise NotImplementedError

    def wrong(self) -> dict[str, Any]:
        """Something that is of the solution's shape and does not solve the easy instance."""
        raise NotImplementedError

    def infeasible(self) -> dict[str, Any] | None:
        """An instance without a solution, None where every instance has one."""
        return None

    @pytest.fixture
    def easy_instance(self) -> Any:
        return self._instance(self.easy()[0])

    @pytest.fixture
    def slow_instance(self) -> Any:
        return self._instance(self.slow())

    def _instance(self, value: dict[str, Any]) -> Any:
        return self.solver().instance_type.model_validate_json(json.dumps(value))

    def _solve(
        self,
        instance: Any,
        *,
        timeout: float = GENEROUS_S,
        stop: threading.Event | None = None,
        recording: Recording | None = None,
        start: Any = None,
    ) -> Any:
        """The `Outcome`; Any, since its parts are compared more often than asked for None."""
        solver = self.solver()
        return solver.solve(
            instance,
            solver.parameters_type(timeout=timeout, threads=2),
            seed=7,
            stop=stop or threading.Event(),
            on_incumbent=recording or Recording(),
            start=start,
        )

    def test_an_easy_instance_is_proven(self, easy_instance: Any) -> None:
        outcome = self._solve(easy_instance)

        assert outcome.cost == self.easy()[1]
        assert outcome.solution_status is SolutionStatus.OPTIMAL
        assert outcome.stop_reason is StopReason.PROVEN
        assert outcome.cost == outcome.lower_bound == outcome.solution.cost
        assert outcome.gap == 0
        self.solver().check(easy_instance, outcome.solution)

    def test_reports_only_ever_get_better_and_all_hold(self, easy_instance: Any) -> None:
        recording = Recording()
        outcome = self._solve(easy_instance, recording=recording)

        assert not recording.concurrent
        costs = [report.cost or 0 for report in recording.incumbents if report.solution is not None]
        assert all(later < earlier for earlier, later in pairwise(costs))
        assert costs[-1] == outcome.cost
        bounds = [r.lower_bound for r in recording.incumbents if r.lower_bound is not None]
        assert bounds == sorted(bounds)
        assert all(bound <= outcome.cost for bound in bounds)
        for report in recording.incumbents:
            if report.solution is not None:
                assert report.solution.cost == report.cost
                self.solver().check(easy_instance, report.solution)

    def test_an_infeasible_instance_is_an_answer(self) -> None:
        infeasible = self.infeasible()
        if infeasible is None:
            return
        outcome = self._solve(self._instance(infeasible))

        assert outcome.solution_status is SolutionStatus.INFEASIBLE
        assert outcome.stop_reason is StopReason.PROVEN
        assert (outcome.solution, outcome.cost, outcome.lower_bound) == (None, None, None)
        assert outcome.infeasibility is not None
        assert outcome.infeasibility.message

    def test_the_time_limit_is_wall_time(self, slow_instance: Any) -> None:
        with promised(1.0, after_s=2.0):
            outcome = self._solve(slow_instance, timeout=2.0)

        assert outcome.stop_reason is StopReason.TIME_LIMIT
        assert outcome.solution_status is SolutionStatus.FEASIBLE
        self.solver().check(slow_instance, outcome.solution)

    def test_a_tiny_time_limit_still_gives_a_solution(self, slow_instance: Any) -> None:
        outcome = self._solve(slow_instance, timeout=0.001)

        assert outcome.solution_status is SolutionStatus.FEASIBLE
        self.solver().check(slow_instance, outcome.solution)

    def test_cancel_keeps_the_best_solution(self, slow_instance: Any) -> None:
        stop = threading.Event()
        recording = Recording(stop_after_first=stop)
        with promised(4.0):
            outcome = self._solve(slow_instance, stop=stop, recording=recording)

        assert outcome.stop_reason is StopReason.CANCELLED
        assert outcome.cost == recording.incumbents[-1].cost
        self.solver().check(slow_instance, outcome.solution)

    def test_nothing_is_reported_after_the_answer(self, slow_instance: Any) -> None:
        recording = Recording()
        self._solve(slow_instance, timeout=1.0, recording=recording)
        reports = len(recording.incumbents)
        # Whatever was left behind ends within these few seconds.
        self._solve(slow_instance, timeout=2.0)

        assert len(recording.incumbents) == reports

    def test_the_answer_is_never_worse_than_the_start(
        self, easy_instance: Any, slow_instance: Any
    ) -> None:
        best = self._solve(easy_instance).solution
        assert self._solve(easy_instance, start=best, timeout=0.001).cost == best.cost

        good = self._solve(slow_instance, timeout=2.0).solution
        recording = Recording()
        again = self._solve(slow_instance, start=good, timeout=0.001, recording=recording)
        assert again.cost <= good.cost
        assert all((report.cost or 0) <= good.cost for report in recording.incumbents)

    def test_a_start_that_is_no_solution_is_refused(self, easy_instance: Any) -> None:
        wrong = self.solver().solution_type.model_validate(self.wrong())
        with pytest.raises(InvalidSolution):
            self._solve(easy_instance, start=wrong)

    def test_the_check_refuses_what_is_wrong(self, easy_instance: Any) -> None:
        solver = self.solver()
        right = self._solve(easy_instance).solution
        for wrong in (
            solver.solution_type.model_validate(self.wrong()),
            right.model_copy(update={"cost": right.cost + 1}),
            right.model_copy(update={"cost": right.cost - 1}),
        ):
            with pytest.raises(InvalidSolution):
                solver.check(easy_instance, wrong)

    def test_instances_survive_json(self, easy_instance: Any, slow_instance: Any) -> None:
        for original in (easy_instance, slow_instance):
            text = original.model_dump_json(exclude_none=True)
            assert type(original).model_validate_json(text) == original
            assert type(original).model_validate(json.loads(text)) == original

    def test_statistics_are_flat_json(self, easy_instance: Any) -> None:
        statistics = self._solve(easy_instance).statistics
        assert json.loads(json.dumps(statistics, allow_nan=False)) == statistics
        assert all(not isinstance(value, list | dict) for value in (statistics or {}).values())

    def test_unknown_fields_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="surprise"):
            self._instance(self.easy()[0] | {"surprise": 1})

    @pytest.mark.parametrize(
        ("name", "value"),
        [("timeout", 0), ("timeout", True), ("timeout", "5"), ("seed", -1), ("threads", 0)],
    )
    def test_bad_parameters_are_refused(self, name: str, value: Any) -> None:
        with pytest.raises(ValidationError, match=name):
            self.solver().parameters_type.model_validate({name: value})

    def test_the_size_is_known_without_solving(self, easy_instance: Any) -> None:
        assert self.solver().size(easy_instance).num_nodes >= 1

    def test_examples_are_whole_submissions(self) -> None:
        solver = self.solver()
        examples = solver.examples()
        assert examples
        for example in examples:
            instance = self._instance(example.submission[solver.instance_field])
            solver.validate(instance)
            parameters = example.submission.get("optimization_parameters", {})
            solver.parameters_type.model_validate(parameters)
            assert example.name
            assert example.attribution
            assert not example.labels or len(example.labels) == solver.size(instance).num_nodes

    def test_importing_the_package_is_cheap(self) -> None:
        module = type(self.solver()).__module__
        package = module.rpartition(".")[0] or module
        program = f"import {package}, sys; print([m for m in {HEAVY_MODULES} if m in sys.modules])"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"
