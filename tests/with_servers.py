"""Runs a command against temporary, migrated servers: `python -m tests.with_servers alembic check`.

The command finds them in OPTIMIZED_TSP_DATABASE_URL (as the owner of the tables) and
OPTIMIZED_TSP_REDIS_URL.
"""

from __future__ import annotations

import os
import subprocess
import sys

from optimized_tsp.embedded.folder import DataFolder
from tests.conftest import pytest_configure
from tests.stack import Servers, public_folder


def main() -> int:
    """Run the command of the command line; return its exit status."""
    pytest_configure()
    with public_folder() as path, DataFolder(path) as folder:
        servers = Servers(folder)
        try:
            servers.start()
            env = {
                "OPTIMIZED_TSP_DATABASE_URL": servers.identity.owner_url,
                "OPTIMIZED_TSP_REDIS_URL": servers.identity.redis_url,
            }
            return subprocess.run(sys.argv[1:], env=os.environ | env, check=False).returncode
        finally:
            servers.stop()


if __name__ == "__main__":
    sys.exit(main())
