"""Large bodies are read in another process; where none can be started the answer says so."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import orjson
import pytest

from optimized_tsp.core.config import Settings
from optimized_tsp.core.errors import ServiceUnavailable
from optimized_tsp.embedded.process import wait_until
from optimized_tsp.jobs.parser import _ELSEWHERE_BYTES, SubmissionParser
from optimized_tsp.jobs.submission import Body
from optimized_tsp.solvers.tsp.solver import TspSolver
from tests.shortages import no_more_files, no_more_threads

CITIES = 10_000


@pytest.fixture
def parser() -> Iterator[SubmissionParser]:
    parser = SubmissionParser(Settings())
    yield parser
    parser.close()


@pytest.fixture
def body() -> Body:
    """Large enough to be read elsewhere."""
    cities = [[i, i * i % 997] for i in range(CITIES)]
    content = orjson.dumps({"tsp_instance": {"coordinates": cities, "metric": "EUC_2D"}})
    content += b" " * (_ELSEWHERE_BYTES - len(content) + 1)
    return Body(content)


async def is_read(parser: SubmissionParser, body: Body) -> bool:
    async with asyncio.timeout(60):
        return (await parser.parse(TspSolver(), body)).size.num_nodes == CITIES


@pytest.mark.parametrize("shortage", [no_more_files, no_more_threads])
async def test_without_a_process_to_read_it_in_a_body_is_read_later(
    parser: SubmissionParser, body: Body, shortage: Callable[[], AbstractContextManager[None]]
) -> None:
    with shortage(), pytest.raises(ServiceUnavailable, match="cannot be started"):
        await is_read(parser, body)
    assert wait_until(lambda: not multiprocessing.active_children(), timeout_s=30)

    assert await is_read(parser, body)


async def test_the_body_that_is_being_read_is_read_to_its_end(
    parser: SubmissionParser, body: Body
) -> None:
    reading = asyncio.create_task(is_read(parser, body))
    await asyncio.sleep(0)  # it begins

    with no_more_files(), pytest.raises(ServiceUnavailable, match="cannot be started"):
        await is_read(parser, body)

    assert await reading
    assert await is_read(parser, body)
