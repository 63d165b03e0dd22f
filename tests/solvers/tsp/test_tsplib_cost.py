"""A text that is no problem costs about as much as an honest one of its size at most."""

from __future__ import annotations

import gc
import time

import orjson
import pytest

from optimized_tsp.core.config import Settings
from optimized_tsp.core.errors import InvalidInput
from optimized_tsp.jobs.submission import Body, parse_submission
from optimized_tsp.solvers.tsp import TspSolver
from optimized_tsp.solvers.tsp.tsplib import TsplibError, parse_tsplib

SIZE = 3_000_000


def filled(piece: str) -> str:
    return piece * (SIZE // len(piece))


def weights(num_nodes: int, words: str) -> str:
    return (
        f"TYPE: ATSP\nDIMENSION: {num_nodes}\nEDGE_WEIGHT_TYPE: EXPLICIT\n"
        f"EDGE_WEIGHT_FORMAT: FULL_MATRIX\nEDGE_WEIGHT_SECTION\n{words}"
    )


def points(num_nodes: int, rows: str) -> str:
    head = f"TYPE: TSP\nDIMENSION: {num_nodes}\nEDGE_WEIGHT_TYPE: EUC_2D\nNODE_COORD_SECTION\n"
    return head + rows


def graph(form: str, edges: str) -> str:
    return f"TYPE: HCP\nDIMENSION: 9\nEDGE_DATA_FORMAT: {form}\nEDGE_DATA_SECTION\n{edges}"


FIXED = points(3, "1 0 0\n2 3 0\n3 0 4\n") + "FIXED_EDGES_SECTION\n"
HOSTILE = {
    "decimal weights": (weights(3, filled("1.0 ")), "wrong_count"),
    "a matrix over the limit": (weights(1300, filled("1.0 ")), "too_many_edges"),
    "weights, the last one wrong": (weights(500, "1e0 " * 249_999 + "x"), "not_a_number"),
    "points": (points(3, filled("1 1 2\n")), "wrong_count"),
    "nodes over the limit": (points(200_000, filled("1 1 2\n")), "too_many_nodes"),
    "blank lines": (points(3, filled("\n") + "1 1 2\n"), "wrong_count"),
    "fixed edges": (FIXED + filled("1 2\n"), "too_many_fixed_edges"),
    "ends of lists": (FIXED + filled("-1 "), "too_many_fixed_edges"),
    "edges": (graph("EDGE_LIST", filled("1 2\n")), "too_many_edges"),
    "neighbours": (graph("ADJ_LIST", filled("1 2 -1\n")), "too_many_edges"),
    "comments": ("TYPE: TSP\n" + filled("COMMENT: a\n"), "too_many_entries"),
}


def cpu_s(text: str, expected: str | None) -> float:
    body = Body(orjson.dumps({"tsp_instance": {"tsplib": text}}))
    gc.collect()
    gc.freeze()  # what other tests left is not to be looked through while the time counts
    started = time.process_time()
    try:
        parse_submission(TspSolver(), body, Settings(max_edges=400_000))
    except InvalidInput as error:
        assert error.problems[0].code == expected  # noqa: PT017 - the time counts, too
    else:
        assert expected is None
    took_s = time.process_time() - started
    gc.unfreeze()
    return took_s


@pytest.fixture(scope="module")
def honest_cpu_s() -> float:
    rows = "".join(f"{node} {node}.25 {-node}.125000000\n" for node in range(1, 95_001))
    text = points(95_000, rows)
    assert 0.9 * SIZE < len(text) < 1.1 * SIZE
    return min(cpu_s(text, None) for _ in range(2))


@pytest.mark.parametrize(("text", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_is_refused_early(text: str, code: str, honest_cpu_s: float) -> None:
    assert any(cpu_s(text, code) < 2 * honest_cpu_s for _ in range(3))


@pytest.mark.parametrize(
    "word", ["7.0", "7.", "70e-1", "0.7e1", "+7", "7e0", "7.000000000000000000"]
)
def test_whole_weights_in_any_notation(word: str) -> None:
    problem = parse_tsplib(weights(2, f"0 {word} 7 0e9"))
    assert problem.matrix is not None
    assert problem.matrix.tolist() == [[0, 7], [7, 0]]


@pytest.mark.parametrize("word", ["1e-400", "7.0000000000000001", "0.99999999999999", "nan", "inf"])
def test_what_only_looks_whole_as_a_double_is_refused(word: str) -> None:
    with pytest.raises(TsplibError):
        parse_tsplib(weights(2, f"0 {word} 7 0"))
