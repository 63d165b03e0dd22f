"""Which fields of an instance a solver may let come beside a body, and how they are offered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from pydantic import Field

from optimized_tsp.jobs.endpoints import beside
from optimized_tsp.solvers.knapsack import KnapsackSolver
from optimized_tsp.solvers.knapsack.schemas import KnapsackInstance
from optimized_tsp.solvers.registry import AnySolver, UnfitSolver, all_solvers


class Labelled(KnapsackInstance):
    kind: str | None = Field(default=None, max_length=3, description="What is packed.")


class Tabular(KnapsackSolver):
    """Reads items from a table, which does not say how much may be carried."""

    name: ClassVar[str] = "tabular"
    instance_type = Labelled
    readers: Mapping[str, Callable[[bytes], Any]] = {"text/csv": lambda _: {"items": []}}
    writers: Mapping[str, Callable[[Any, Any], str]] = {}
    beside: Mapping[str, tuple[str, ...]] = {"text/csv": ("capacity", "kind")}


class Listed(Tabular):
    beside: Mapping[str, tuple[str, ...]] = {"text/csv": ("items",)}


class Unknown(Tabular):
    beside: Mapping[str, tuple[str, ...]] = {"text/csv": ("weight",)}


class Unread(Tabular):
    beside: Mapping[str, tuple[str, ...]] = {"text/tab-separated-values": ("capacity",)}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[AnySolver], list[dict[str, Any]]]:
    """The parameters of a solver that is registered meanwhile."""

    def serve(solver: AnySolver) -> list[dict[str, Any]]:
        served = {**all_solvers(), (solver.name, solver.version): solver}
        monkeypatch.setattr(beside, "all_solvers", lambda: served)
        beside._fields_type.cache_clear()
        return [
            parameter
            for parameter in beside.query_parameters(solver)
            if parameter["name"] not in beside._Members.model_fields
        ]

    return serve


def test_a_field_keeps_its_rules_and_is_never_null(
    serve: Callable[[AnySolver], list[dict[str, Any]]],
) -> None:
    capacity, kind = serve(Tabular())

    assert (capacity["name"], capacity["required"], capacity["schema"]["minimum"]) == (
        "capacity",
        False,
        0,
    )
    assert "default" not in capacity["schema"]
    assert kind["schema"]["type"] == "string"
    assert kind["schema"]["maxLength"] == 3
    assert kind["description"] == "What is packed. For bodies of type text/csv."


@pytest.mark.parametrize(
    ("solver", "reason"),
    [
        (Listed(), "items cannot come beside a body: it is no single value"),
        (Unknown(), "weight cannot come beside text/csv"),
        (Unread(), "capacity cannot come beside text/tab-separated-values"),
    ],
)
def test_what_cannot_be_a_parameter_is_said_when_the_service_starts(
    serve: Callable[[AnySolver], list[dict[str, Any]]], solver: AnySolver, reason: str
) -> None:
    with pytest.raises(UnfitSolver, match=reason):
        serve(solver)
