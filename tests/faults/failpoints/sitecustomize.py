"""Kills the process at a named point; put this folder on PYTHONPATH and set FAILPOINT.

`between-commit-and-ring`: when a job was committed, and before anybody was told.
"""

from __future__ import annotations

import os
import signal
from typing import Any

if os.environ.get("FAILPOINT") == "between-commit-and-ring":
    from optimized_tsp.events.bus import Bus

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Bus.announce = die  # type: ignore[method-assign]
