"""The forms in which results and reports are printed."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ReportFormat", "ResultFormat"]


class ResultFormat(StrEnum):
    """A form of a solution; each is asked for by its media type."""

    JSON = "json"
    TOUR = "tour"
    CSV = "csv"
    GEOJSON = "geojson"

    @property
    def media_type(self) -> str:
        """What to accept."""
        return _MEDIA_TYPES[self]


class ReportFormat(StrEnum):
    """How the rows of a report are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


_MEDIA_TYPES = {
    ResultFormat.JSON: "application/json",
    ResultFormat.TOUR: "application/x-tsplib-tour",
    ResultFormat.CSV: "text/csv",
    ResultFormat.GEOJSON: "application/geo+json",
}
