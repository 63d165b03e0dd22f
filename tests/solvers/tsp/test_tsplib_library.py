"""Files of the TSPLIB itself, where they are at hand: their canonical tours have known lengths.

TSPLIB 95 gives the lengths of the tours 1, 2, ..., n of three files for checking distance
functions. The files are not part of this repository: set TSPLIB_DIR to a folder that holds them
(without the prefix of our settings, which tests forget), or keep it as ../shared/tsplib.
Without them nothing is compared: the other tests stand alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from optimized_tsp.solvers.tsp.metrics import distance_rule
from optimized_tsp.solvers.tsp.schemas import Metric
from optimized_tsp.solvers.tsp.tsplib import TsplibProblem, decode_tsplib, parse_tsplib

CANONICAL = {"pcb442": 221_440, "gr666": 423_710, "att532": 309_636}


def library() -> list[Path]:
    beside = Path(__file__).parents[4] / "shared" / "tsplib"
    folder = Path(os.environ.get("TSPLIB_DIR", beside))
    return sorted([*folder.glob("*.tsp"), *folder.glob("*.atsp")])


def parsed(path: Path) -> TsplibProblem:
    return parse_tsplib(decode_tsplib(path.read_bytes()))


def test_canonical_tours() -> None:
    """Looks at nothing, and passes, where the files are not at hand."""
    for path in library():
        if path.stem in CANONICAL:
            problem = parsed(path)
            metric: Metric = problem.metric  # type: ignore[assignment]
            assert problem.points is not None
            points = problem.points.tolist()
            steps = zip(points, [*points[1:], points[0]], strict=True)
            length = sum(distance_rule(metric)(a, b, 1.0) for a, b in steps)
            assert length == CANONICAL[path.stem]


def test_every_file_is_read() -> None:
    """Looks at nothing, and passes, where the files are not at hand."""
    for path in library():
        problem = parsed(path)
        number = int("".join(filter(str.isdigit, path.stem)))  # ftv files count arcs from 0
        assert problem.num_nodes == number + path.stem.startswith("ftv")
        assert (problem.points is None) != (problem.matrix is None)
        if problem.matrix is not None and problem.type == "TSP":
            assert (problem.matrix == problem.matrix.T).all()
