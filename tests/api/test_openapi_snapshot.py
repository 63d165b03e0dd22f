"""No change of the API goes unseen."""

from __future__ import annotations

import difflib

import pytest

from tests.api.openapi_snapshot import SNAPSHOT, present_document

_SHOWN_LINES = 80


def test_the_document_is_the_one_agreed_on() -> None:
    agreed, present = SNAPSHOT.read_text(encoding="utf-8"), present_document()
    if present == agreed:
        return
    changes = list(
        difflib.unified_diff(
            agreed.splitlines(), present.splitlines(), "agreed", "present", lineterm="", n=8
        )
    )
    pytest.fail(
        "The API has changed:\n"
        + "\n".join(changes[:_SHOWN_LINES])
        + f"\n({len(changes)} lines in all)\n"
        + "Clients see this. If it is meant, run `make openapi`, read the difference in "
        + f"{SNAPSHOT.name} and commit it.",
        pytrace=False,
    )


def test_the_document_is_the_same_every_time() -> None:
    assert present_document() == present_document()
