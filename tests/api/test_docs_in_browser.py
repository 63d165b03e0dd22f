"""The documentation page works in a browser that reaches nothing but this machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stack import RunningStack

pytestmark = pytest.mark.browser


def rendered(url: str, profile: Path) -> str:
    """The page's HTML after its scripts have run, in a Chromium without internet."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium is not None, "make test-browser needs Chromium: apt-get install chromium"
    command = [
        chromium,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        *("--virtual-time-budget=10000", f"--user-data-dir={profile}", "--dump-dom", url),
    ]
    page = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return page.stdout


def test_the_documentation_lists_every_call(running_stack: RunningStack, tmp_path: Path) -> None:
    page = rendered(f"{running_stack.base_url}/docs", tmp_path / "profile")
    for path in ("/tsp_solver/v1/jobs", "/tsp_solver/v1/jobs/{task_id}", "/healthz"):
        assert f'data-path="{path}"' in page
