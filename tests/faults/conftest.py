"""One cluster for all tests here: every test leaves it calm, with everything running."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from optimized_tsp.core.database import Database
from tests.faults.cluster import Cluster, running_cluster
from tests.faults.stories import Stories
from tests.faults.traffic import Traffic, client
from tests.stack import public_folder


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def cluster() -> AsyncIterator[Cluster]:
    """Two APIs and two workers behind proxies, on servers of their own."""
    with public_folder() as folder:
        async with running_cluster(folder) as cluster:
            yield cluster


@pytest_asyncio.fixture(loop_scope="package")
async def database(cluster: Cluster) -> AsyncIterator[Database]:  # type: ignore[override, unused-ignore]
    """The cluster's database without a proxy: how things really are."""
    database = Database(cluster.direct_url, application_name="tests")
    yield database
    await database.close()


@pytest.fixture
def stories(database: Database) -> Stories:
    """What is stored about single jobs."""
    return Stories(database)


@pytest_asyncio.fixture(loop_scope="package")
async def http(cluster: Cluster) -> AsyncIterator[httpx.AsyncClient]:
    for process in (*cluster.apis, *cluster.workers):
        await cluster.restart(process)  # nothing fails for the sake of a test that failed before
    async with client() as http:
        yield http


@pytest.fixture
def traffic(cluster: Cluster) -> Traffic:
    return Traffic(cluster, random.Random(11))
