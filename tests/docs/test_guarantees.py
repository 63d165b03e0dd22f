"""docs/guarantees.md names tests that exist, and nothing without one."""

from __future__ import annotations

import ast
import re

from tests.docs.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "guarantees.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")]
PROMISES = [row for row in ROWS if not row.startswith(("| promise |", "| fault |"))]


def functions_of(file: str) -> set[str]:
    """The functions of a file, those in classes included."""
    tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_every_promise_names_a_test() -> None:
    assert len(PROMISES) > 30
    without = [row for row in PROMISES if not re.search(r"`tests/[\w/]+\.py::test_\w+`", row)]
    assert without == []


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) == PAGE.count("::test_")
    assert [f"{file}::{name}" for file, name in named if name not in functions_of(file)] == []
