"""The documents say what is: every setting, event type and call, and no link leads nowhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from optimized_tsp.core.config import ENV_PREFIX, Settings
from optimized_tsp.events.types import EventType
from optimized_tsp.jobs.states import JobStatus

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def words(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def test_every_setting_is_documented_in_the_words_of_the_code() -> None:
    text = words("settings.md")
    for name, field in Settings.model_fields.items():
        assert f"`{ENV_PREFIX}{name.upper()}`" in text, name
        assert field.description is not None
        assert field.description in text, name


def test_no_setting_is_documented_that_does_not_exist() -> None:
    written = set(re.findall(rf"{ENV_PREFIX}(\w+)`", words("settings.md")))
    assert written == {name.upper() for name in Settings.model_fields}


def test_every_event_type_is_documented() -> None:
    text = words("live-feed.md")
    assert [event.value for event in EventType if f"`{event.value}`" not in text] == []


def test_every_state_is_documented() -> None:
    text = words("job-states.md")
    assert [status.value for status in JobStatus if f"| `{status.value}` |" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_a_document_names_exists(page: Path) -> None:
    named = re.findall(
        r"`((?:optimized_tsp|tests|docs|benchmarks|migrations)/[\w./-]+)`",
        page.read_text(encoding="utf-8"),
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_decisions_are_numbered_without_gap_or_repeat() -> None:
    numbers = sorted(int(path.name[:4]) for path in (DOCS / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
