"""What an instance may look like, and what is said about one that may not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from optimized_tsp.solvers.contract import InstanceSize, InvalidInstance
from optimized_tsp.solvers.tsp import Edge, TspInstance, TspSolver
from optimized_tsp.solvers.tsp.validation import MAX_PROBLEMS
from tests.promises import promised


def parse(text: str) -> TspInstance:
    instance = TspInstance.model_validate_json(text)
    TspSolver().validate(instance)
    return instance


def edge(**changes: Any) -> dict[str, Any]:
    return {"source": 0, "target": 1, "cost": 5} | changes


def two_nodes(*edges: dict[str, Any]) -> str:
    return json.dumps({"num_nodes": 2, "edges": edges})


def schema_errors(text: str) -> dict[tuple[int | str, ...], str]:
    """Place and code of every error of the schema."""
    with pytest.raises(ValidationError) as refused:
        TspInstance.model_validate_json(text)
    return {error["loc"]: error["type"] for error in refused.value.errors()}


def rule_problems(text: str) -> dict[str, str]:
    """Pointer and code of every problem that only the whole instance shows."""
    instance = TspInstance.model_validate_json(text)
    with pytest.raises(InvalidInstance) as refused:
        TspSolver().validate(instance)
    assert all(problem.message for problem in refused.value.problems)
    return {problem.pointer: problem.code for problem in refused.value.problems}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (two_nodes(edge()), InstanceSize(2, 1)),
        ('{"num_nodes": 1, "edges": []}', InstanceSize(1, 0)),
        ('{"matrix": [[0, 1], [null, null]]}', InstanceSize(2, 1)),
        ('{"matrix": [[7]]}', InstanceSize(1, 0)),
        ('{"coordinates": [[0, 1.5]], "metric": "ATT", "scale": 2}', InstanceSize(1, None)),
    ],
)
def test_every_form_is_accepted_and_has_a_size(text: str, size: InstanceSize) -> None:
    assert TspSolver().size(parse(text)) == size


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{}", "no_form"),
        ('{"scale": 2}', "no_form"),
        ('{"num_nodes": 3}', "incomplete_form"),
        ('{"edges": []}', "incomplete_form"),
        ('{"coordinates": [[0, 0]]}', "incomplete_form"),
        ('{"metric": "ATT"}', "incomplete_form"),
        ('{"matrix": [[0]], "num_nodes": 1}', "several_forms"),
        ('{"matrix": [[0]], "coordinates": [[0, 0]], "metric": "ATT"}', "several_forms"),
        ('{"num_nodes": 1, "edges": [], "metric": "ATT"}', "several_forms"),
        ('{"matrix": [[0]], "scale": 2}', "scale_without_coordinates"),
        ("[]", "model_type"),
        ("nonsense", "json_invalid"),
    ],
)
def test_exactly_one_whole_form_is_wanted(text: str, code: str) -> None:
    assert schema_errors(text) == {(): code}


@pytest.mark.parametrize(
    "cost", ["1.0", "1.5", "true", '"12"', "null", "NaN", "Infinity", "1e400", "1e3", "[]"]
)
def test_costs_are_integers_and_nothing_that_looks_like_one(cost: str) -> None:
    text = '{"num_nodes": 2, "edges": [{"source": 0, "target": 1, "cost": %s}]}'
    assert schema_errors(text % cost) == {("edges", 0, "cost"): "int_type"}


@pytest.mark.parametrize(
    ("changes", "place", "code"),
    [
        ({"cost": -1}, "cost", "greater_than_equal"),
        ({"cost": 2**70}, "cost", "less_than"),
        ({"source": -1}, "source", "greater_than_equal"),
        ({"target": 2**31}, "target", "less_than"),
        ({"weight": 1}, "weight", "unexpected_keyword_argument"),
    ],
)
def test_an_edge_that_is_none_is_refused_with_its_place(
    changes: dict[str, Any], place: str, code: str
) -> None:
    assert schema_errors(two_nodes(edge(), edge(**changes))) == {("edges", 1, place): code}


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ('{"num_nodes": 0, "edges": []}', ("num_nodes",), "greater_than_equal"),
        ('{"num_nodes": 1e9, "edges": []}', ("num_nodes",), "int_type"),
        ('{"coordinates": [], "metric": "ATT"}', ("coordinates",), "too_short"),
        ('{"coordinates": [[1]], "metric": "ATT"}', ("coordinates", 0), "too_short"),
        ('{"coordinates": [[1, 2, 3]], "metric": "ATT"}', ("coordinates", 0), "too_long"),
        ('{"coordinates": [[NaN, 2]], "metric": "ATT"}', ("coordinates", 0, 0), "finite_number"),
        ('{"coordinates": [[1, 1e400]], "metric": "ATT"}', ("coordinates", 0, 1), "finite_number"),
        ('{"coordinates": [[true, 2]], "metric": "ATT"}', ("coordinates", 0, 0), "float_type"),
        ('{"coordinates": [["1", 2]], "metric": "ATT"}', ("coordinates", 0, 0), "float_type"),
        ('{"coordinates": [[1, 2]], "metric": "EUCLID"}', ("metric",), "literal_error"),
        ('{"coordinates": [[1, 2]], "metric": "ATT", "scale": 0}', ("scale",), "greater_than"),
        ('{"matrix": []}', ("matrix",), "too_short"),
        ('{"matrix": [[1.0]]}', ("matrix", 0, 0), "int_type"),
        ('{"matrix": [[0, true], [1, 0]]}', ("matrix", 0, 1), "int_type"),
        ('{"matrix": [[0]], "begin": 0}', ("begin",), "extra_forbidden"),
        ('{"matrix": [[0]], "start": -1}', ("start",), "greater_than_equal"),
        ('{"matrix": [[0]], "start": "0"}', ("start",), "int_type"),
        ('{"matrix": [[0]], "end": true}', ("end",), "int_type"),
        ('{"matrix": [[0]], "end": 0.5}', ("end",), "int_type"),
        ('{"matrix": [[0]], "round_trip": 0}', ("round_trip",), "bool_type"),
        ('{"matrix": [[0]], "names": []}', ("names",), "too_short"),
        ('{"matrix": [[0]], "names": [7]}', ("names", 0), "string_type"),
        ('{"matrix": [[0]], "names": [""]}', ("names", 0), "string_too_short"),
    ],
)
def test_malformed_values_are_refused_with_their_place(
    text: str, place: tuple[int | str, ...], code: str
) -> None:
    assert schema_errors(text) == {place: code}


def test_a_list_of_a_million_wrong_edges_is_refused_at_its_first() -> None:
    with promised(5.0):
        errors = schema_errors('{"num_nodes": 2, "edges": [' + ",".join(["{}"] * 1_000_000) + "]}")

    assert set(errors) == {("edges", 0, name) for name in ("source", "target", "cost")}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (two_nodes(edge(target=2)), {"/edges/0/target": "node_out_of_range"}),
        (two_nodes(edge(), edge(source=7)), {"/edges/1/source": "node_out_of_range"}),
        (two_nodes(edge(), edge(target=0)), {"/edges/1": "self_loop"}),
        (two_nodes(edge(cost=2**52)), {"/edges/0/cost": "inexact_cost"}),
        ('{"matrix": [[0, 1], [2]]}', {"/matrix/1": "not_square"}),
        ('{"matrix": [[0, 1, 2]]}', {"/matrix/0": "not_square"}),
        ('{"matrix": [[0, 1], [-2, 0]]}', {"/matrix/1/0": "negative_cost"}),
        ('{"matrix": [[0, 4503599627370496], [1, 0]]}', {"/matrix/0/1": "inexact_cost"}),
        (
            '{"coordinates": [[181, 0], [0, -90.1]], "metric": "HAVERSINE"}',
            {
                "/coordinates/0/0": "coordinate_out_of_range",
                "/coordinates/1/1": "coordinate_out_of_range",
            },
        ),
        (
            '{"coordinates": [[0, 91], [91, 0]], "metric": "GEO"}',
            {"/coordinates/1/0": "coordinate_out_of_range"},
        ),
        (
            '{"coordinates": [[0, 0], [1e16, 0]], "metric": "EUC_2D"}',
            {"/coordinates": "inexact_cost"},
        ),
        (
            '{"coordinates": [[1e308, 0], [-1e308, 0]], "metric": "MAN_2D"}',
            {"/coordinates": "inexact_cost"},
        ),
        (
            '{"coordinates": [[0, 0], [0, 1]], "metric": "HAVERSINE", "scale": 1e300}',
            {"/coordinates": "inexact_cost"},
        ),
    ],
)
def test_rules_about_the_whole_instance_name_the_place(text: str, problems: dict[str, str]) -> None:
    assert rule_problems(text) == problems


def test_costs_are_accepted_up_to_the_last_exact_one() -> None:
    parse(two_nodes(edge(cost=2**52 - 1)))
    parse('{"matrix": [[0, 4503599627370495], [1, 0]]}')
    parse('{"coordinates": [[0, 0], [4503599627370495, 0]], "metric": "EUC_2D"}')


def test_the_diagonal_of_a_matrix_is_ignored() -> None:
    parse('{"matrix": [[-1, 1], [2, 9007199254740991]]}')


def test_no_more_than_a_hundred_problems_are_listed() -> None:
    problems = rule_problems(two_nodes(*[edge(target=5)] * 500))
    assert len(problems) == MAX_PROBLEMS == 100


def test_python_values_are_read_as_strictly_as_json() -> None:
    fields = {"num_nodes": 2, "edges": [edge(), edge(source=1, target=0)]}
    assert TspInstance.model_validate(fields).edges == [Edge(0, 1, 5), Edge(1, 0, 5)]
    with pytest.raises(ValidationError):
        TspInstance.model_validate({"num_nodes": 2, "edges": [edge(cost=1.0)]})


def test_large_instances_are_read_and_validated_quickly() -> None:
    row = [3] * 999
    edges = [
        f'{{"source":{i},"target":{j},"cost":{i ^ j}}}'
        for i in range(300)
        for j in range(300)
        if i != j
    ]
    for text in (
        json.dumps({"matrix": [[*row, 0]] * 1_000}),
        '{"num_nodes": 300, "edges": [' + ",".join(edges) + "]}",
    ):
        with promised(2.0):  # about 0.1 s on a quiet machine
            parse(text)
