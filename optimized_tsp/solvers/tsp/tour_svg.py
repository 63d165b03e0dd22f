"""Tours through points as pictures (SVG)."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["write_tour_svg"]

_SIZE = 1000.0
_MARGIN = 30.0
_STYLE = (
    "polyline,polygon{fill:none;stroke:#2563eb;stroke-width:2;stroke-linejoin:round}"
    "circle{fill:#111827}.start{fill:#16a34a}.end{fill:#dc2626}"
)


def write_tour_svg(
    node_order: Sequence[int],
    coordinates: Sequence[Sequence[float]],
    *,
    round_trip: bool = True,
    latitude_first: bool = False,
) -> str:
    """The tour as a line through its points, y (or latitude) upwards, at most 1000 pixels wide.

    Where it begins is green. The line of an open path is not closed; where that ends is red.
    """
    across, up = (1, 0) if latitude_first else (0, 1)
    xs = [float(coordinates[node][across]) for node in node_order]
    ys = [float(coordinates[node][up]) for node in node_order]
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    scale = (_SIZE - 2 * _MARGIN) / (max(width, height) or 1.0)
    spots = [
        (_MARGIN + scale * (x - min_x), _MARGIN + scale * (max_y - y))
        for min_x, max_y in [(min(xs), max(ys))]
        for x, y in zip(xs, ys, strict=True)
    ]
    shape = "polygon" if round_trip else "polyline"
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    radius = max(1.5, min(5.0, 120.0 / len(spots) ** 0.5))
    dots = [_dot(spot, radius, "") for spot in spots[1:]]
    if not round_trip and len(spots) > 1:
        dots[-1] = _dot(spots[-1], radius + 3, "end")
    size = f"{2 * _MARGIN + scale * width:.0f} {2 * _MARGIN + scale * height:.0f}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}">',
            f"<style>{_STYLE}</style>",
            f'<{shape} points="{line}"/>',
            *dots,
            _dot(spots[0], radius + 3, "start"),
            "</svg>",
            "",
        ]
    )


def _dot(spot: tuple[float, float], radius: float, kind: str) -> str:
    about = f' class="{kind}"' if kind else ""
    return f'<circle{about} cx="{spot[0]:.1f}" cy="{spot[1]:.1f}" r="{radius:.1f}"/>'
