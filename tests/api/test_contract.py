"""The running service keeps its own OpenAPI document: every check, stateful, a thousand cases.

`make fuzz` makes twenty thousand.
"""

from __future__ import annotations

import pytest

from tests.api.contract import call_service
from tests.conftest import StartStack

CASES = 1000


@pytest.mark.timeout(300)
def test_a_thousand_generated_calls_keep_the_document(start_stack: StartStack) -> None:
    stack = start_stack(workers=1)

    calls = call_service(stack.base_url, examples=40, seed=1)

    assert calls.passed, calls.report
    assert calls.cases >= CASES
    assert "unexpected_error" not in stack.logs()
