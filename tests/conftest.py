"""Fixtures for everybody: real servers, a database per test, real processes.

    database_url   SQLAlchemy address of a fresh, migrated database, as the app's role
    database       the same with `owner_url` and `reporting_url`
    redis_url      address of Valkey, flushed before the test
    running_stack  one API and one worker as processes on that database: `running_stack.base_url`
    start_stack    the same with other numbers and settings:
                   `start_stack(workers=2, lease_s="3")`
    said           everything that this process has logged until now, with whole tracebacks

A server that does not start fails the test. Nothing here reads OPTIMIZED_TSP_* variables: tests
kill and flush, so they never run on servers somebody else uses.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest
import structlog

from optimized_tsp.core.config import ENV_PREFIX
from optimized_tsp.embedded.folder import DataFolder
from optimized_tsp.solvers.tsp import compile_kernels
from tests.crowding import observed
from tests.stack import RunningStack, Servers, TestDatabase, public_folder, stack_env

# The same examples in every run; a machine that stands still for a moment is no defect.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None)
hypothesis.settings.load_profile("suite")

_WITH_WORKERS = {"servers", "cluster", "up"}
"""Fixtures that start workers, or what they need."""


class StartStack(Protocol):
    """Starts an API and workers; settings are named as in `Settings`, values are strings."""

    def __call__(self, *, workers: int = 1, **settings: str) -> RunningStack: ...


def pytest_configure() -> None:
    """Forget the caller's settings, for this process and everything it starts."""
    # A shell makes what it starts in the background ignore Ctrl-C; commands under test must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in list(os.environ):
        if name.upper().startswith(ENV_PREFIX):
            del os.environ[name]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compile kernels that have changed, before anything waits for a worker that does it."""
    names = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if names & _WITH_WORKERS and not session.config.option.collectonly:
        with Path(compile_kernels.__file__).open("rb") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)  # runs side by side would all compile the same
            subprocess.run([sys.executable, "-m", compile_kernels.__name__], check=True)


@pytest.fixture(scope="session", autouse=True)
def machine() -> Iterator[None]:
    """Promises about time are judged by how crowded the machine was meanwhile."""
    with observed():
        yield


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """One Postgres and one Valkey for the run."""
    with public_folder() as path, DataFolder(path) as folder:
        servers = Servers(folder)
        try:
            servers.start()
            yield servers
        finally:
            servers.stop()


@pytest.fixture
def database(servers: Servers) -> Iterator[TestDatabase]:
    """A fresh, migrated database."""
    with servers.database() as database:
        yield database


@pytest.fixture
def database_url(database: TestDatabase) -> str:
    """Address of a fresh, migrated database, as the role of the API and the workers."""
    return database.url


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """Address of an empty Valkey."""
    servers.flush_redis()
    return servers.identity.redis_url


@pytest.fixture
def start_stack(database: TestDatabase, redis_url: str, tmp_path: Path) -> Iterator[StartStack]:
    """Starts an API and workers on the test's database; they are stopped after the test."""
    started: list[RunningStack] = []

    def start(*, workers: int = 1, **settings: str) -> RunningStack:
        folder = tmp_path / f"stack-{len(started)}"
        folder.mkdir()
        data_dir = {"data_dir": str(folder / "data")}
        stack = RunningStack(folder, stack_env(database, redis_url, **(data_dir | settings)))
        started.append(stack)
        for _ in range(workers):
            stack.start_worker()
        stack.start_api()
        return stack

    yield start
    for stack in started:
        stack.stop()


@pytest.fixture
def running_stack(start_stack: StartStack) -> RunningStack:
    """One API and one worker on the test's database."""
    return start_stack()


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Gives what was logged until now, whatever thread it was; tracebacks are as Python's own."""
    until_now: list[str] = []

    def read() -> str:
        until_now.extend(capfd.readouterr())
        return "".join(until_now)

    # What structlog does by itself with a traceback can hold up an event loop for seconds.
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.LogfmtRenderer()]
    )
    yield read
    structlog.reset_defaults()
