"""The OpenAPI document as it was last agreed on: `make openapi` writes it anew.

It is committed, so that a change of the API is seen by whoever reads a change, line by line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from optimized_tsp.api.app import create_app
from optimized_tsp.core.config import Settings

__all__ = ["SNAPSHOT", "present_document"]

SNAPSHOT = Path(__file__).with_name("openapi.json")


def present_document() -> str:
    """The document of this code, members sorted by name; without the version, which says nothing
    of the API."""
    nowhere = Settings(
        database_url=SecretStr("postgresql://localhost/nowhere"),
        redis_url=SecretStr("redis://localhost/0"),
    )
    document: dict[str, Any] = create_app(nowhere).openapi()
    del document["info"]["version"]
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(present_document(), encoding="utf-8")
