"""Starting a worker."""

from __future__ import annotations

import pytest

from optimized_tsp.core.config import Settings
from optimized_tsp.worker.main import run


def test_a_worker_without_addresses_says_what_to_set() -> None:
    with pytest.raises(SystemExit, match="needs OPTIMIZED_TSP_DATABASE_URL and OPTIMIZED_TSP_REDI"):
        run(Settings())
