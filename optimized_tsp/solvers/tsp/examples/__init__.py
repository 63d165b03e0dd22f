"""Ready instances: `NAME.json` is a submission, `NAME.about.json` describes it."""

from __future__ import annotations

import json
from importlib.resources import files

from optimized_tsp.solvers.contract import Example

__all__ = ["load_examples"]

_NAMES = ("capitals-of-europe", "lisbon-to-helsinki")


def load_examples() -> list[Example]:
    """The bundled examples, read anew every time."""
    return [_load(name) for name in _NAMES]


def _load(name: str) -> Example:
    folder = files(__name__)
    submission = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    about = json.loads((folder / f"{name}.about.json").read_text(encoding="utf-8"))
    return Example(name=name, submission=submission, **about)
