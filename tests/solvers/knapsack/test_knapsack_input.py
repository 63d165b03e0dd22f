"""What the schema and the validation refuse, and what the check finds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from optimized_tsp.solvers.contract import InvalidInstance, InvalidSolution
from optimized_tsp.solvers.knapsack import KnapsackInstance, KnapsackSolution, KnapsackSolver
from tests.solvers.knapsack.instances import knapsack

LARGEST = 2**53 - 1


@pytest.mark.parametrize(
    ("json", "place"),
    [
        ('{"capacity": 1}', ("items",)),
        ('{"items": []}', ("capacity",)),
        ('{"items": {}, "capacity": 1}', ("items",)),
        ('{"items": [], "capacity": -1}', ("capacity",)),
        ('{"items": [], "capacity": true}', ("capacity",)),
        ('{"items": [], "capacity": "10"}', ("capacity",)),
        ('{"items": [], "capacity": 1.5}', ("capacity",)),
        ('{"items": [], "capacity": 1e3}', ("capacity",)),
        ('{"items": [], "capacity": null}', ("capacity",)),
        (f'{{"items": [], "capacity": {2**53}}}', ("capacity",)),
        (f'{{"items": [], "capacity": {2**70}}}', ("capacity",)),
        ('{"items": [], "capacity": 1, "color": 2}', ("color",)),
        ('{"items": [[1, 2]], "capacity": 1}', ("items", 0)),
        ('{"items": [{"value": 1}], "capacity": 1}', ("items", 0, "weight")),
        ('{"items": [{"value": -1, "weight": 1}], "capacity": 1}', ("items", 0, "value")),
        ('{"items": [{"value": 1, "weight": false}], "capacity": 1}', ("items", 0, "weight")),
        ('{"items": [{"value": 1, "weight": 1, "n": 2}], "capacity": 1}', ("items", 0, "n")),
    ],
)
def test_the_schema_names_the_place_of_an_error(json: str, place: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        KnapsackInstance.model_validate_json(json)
    assert [error["loc"] for error in caught.value.errors()] == [place]


def test_a_list_fails_on_its_first_malformed_item() -> None:
    items = ",".join(['{"value": "x", "weight": 1}'] * 1000)
    with pytest.raises(ValidationError) as caught:
        KnapsackInstance.model_validate_json(f'{{"items": [{items}], "capacity": 1}}')
    assert caught.value.error_count() == 1


def test_sums_stay_exact() -> None:
    KnapsackSolver().validate(knapsack([(LARGEST, LARGEST)], capacity=LARGEST))

    with pytest.raises(InvalidInstance) as caught:
        KnapsackSolver().validate(knapsack([(LARGEST, LARGEST), (1, 1)], capacity=0))

    problems = caught.value.problems
    assert [(p.pointer, p.code) for p in problems] == [("/items", "inexact_sum")] * 2
    assert "values add up to 9007199254740992" in problems[0].message


@pytest.mark.parametrize(
    ("items", "value", "weight", "cost", "complaint"),
    [
        ([0, 2], 180, 40, 100, "fits"),
        ([], 0, 0, 280, "fits"),
        ([0, 3], 60, 10, 220, "There is no item 3"),
        ([-1], 120, 30, 160, "There is no item -1"),
        ([1, 0], 160, 30, 120, "not in order"),
        ([0, 0], 120, 20, 160, "twice"),
        ([0, 2], 181, 40, 99, "worth 180, not 181"),
        ([0, 2], 180, 39, 100, "weigh 40, not 39"),
        ([1, 2], 220, 50, 60, "more than 45"),
        ([0, 2], 180, 40, 99, "left are worth 100, not 99"),
    ],
)
def test_the_check_knows_right_from_wrong(
    items: list[int], value: int, weight: int, cost: int, complaint: str
) -> None:
    instance = knapsack([(60, 10), (100, 20), (120, 30)], capacity=45)
    solution = KnapsackSolution(items=items, value=value, weight=weight, cost=cost)
    if complaint == "fits":
        KnapsackSolver().check(instance, solution)
        return
    with pytest.raises(InvalidSolution, match=complaint):
        KnapsackSolver().check(instance, solution)


def test_every_example_is_a_valid_submission() -> None:
    for example in KnapsackSolver().examples():
        instance = KnapsackInstance.model_validate(example.submission["instance"])
        KnapsackSolver().validate(instance)
        assert len(example.labels) in {0, len(instance.items)}
        assert KnapsackSolver().size(instance).num_edges is None
