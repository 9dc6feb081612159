"""Draw line charts with logarithmic axes as SVG, side by side, readable on light and dark pages."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

_WIDTH, _HEIGHT = 720, 232  # of the picture, and of a row of panels
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 26, 44, 40  # margins of a panel
_LEGEND_ROW = 20

#: Each line's color has a contrast of at least 3 to 1 with white and with the dark page: WCAG for graphics. The dashes
#: tell the lines apart without colors.
STYLES = (
    ("#00897b", "", 3.0),
    ("#7d8794", "2 3", 2.0),
    ("#d9651b", "", 1.5),
    ("#3b82d6", "7 3", 1.5),
    ("#9a67d6", "9 3 2 3", 1.5),
    ("#e0483e", "4 2", 1.5),
)

_CSS = """
    /* Each rule begins with .curves: the site embeds the picture into the page. */
    .curves text { font: 12px system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; fill: var(--ink, #1d2733); }
    .curves .b { font-weight: 600; font-size: 13px; }
    .curves .f { fill: var(--faint, #55606e); }
    .curves .m { text-anchor: middle; }
    .curves .e { text-anchor: end; }
    .curves .paper { fill: var(--paper, #ffffff); }
    .curves .grid { stroke: var(--edge, #b8c2cd); stroke-width: 0.5; }
    .curves polyline { fill: none; stroke-linejoin: round; }"""


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart.

    Attributes:
        title: What its lines show.
        x_title: What the horizontal axis counts.
        unit: Returns the label of a value of the vertical axis.
        lines: The points of each line, by its name: value by count.
        counts: The counts of the horizontal axis. Default: those of the points.
    """

    title: str
    x_title: str
    unit: Callable[[float], str]
    lines: dict[str, dict[int, float]]
    counts: tuple[int, ...] = ()


def render(title: str, names: Sequence[str], panels: Sequence[Panel]) -> str:
    """Draw panels in two columns below a legend of `names`; the first line is the thickest."""
    styles = dict(zip(names, STYLES, strict=False))
    top = _LEGEND_ROW * ceil(len(names) / 2) + 12
    height = top + _HEIGHT * ceil(len(panels) / 2)
    size = f'class="curves" viewBox="0 0 {_WIDTH} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">',
        f"  <style>{_CSS}\n  </style>",
        f'  <rect class="paper" width="{_WIDTH}" height="{height}"/>',
        *(_legend(index, name, styles[name]) for index, name in enumerate(names)),
    ]
    for index, panel in enumerate(panels):
        parts.append(f'  <g transform="translate({_WIDTH // 2 * (index % 2)} {top + _HEIGHT * (index // 2)})">')
        parts += [f"    {part}" for part in _panel(panel, styles)]
        parts.append("  </g>")
    return "\n".join([*parts, "</svg>\n"])


def _legend(index: int, name: str, style: tuple[str, str, float]) -> str:
    x, y = 14 + _WIDTH // 2 * (index % 2), 18 + _LEGEND_ROW * (index // 2)
    return f'  {_line([(x, y - 4), (x + 34, y - 4)], style)}<text x="{x + 42}" y="{y}">{escape(name)}</text>'


def _panel(panel: Panel, styles: dict[str, tuple[str, str, float]]) -> Iterator[str]:
    points = [point for line in panel.lines.values() for point in line.items()]
    counts = panel.counts or sorted({count for count, _ in points})
    low = floor(log10(min(value for _, value in points)))
    high = max(ceil(log10(max(value for _, value in points))), low + 1)
    width, height = _WIDTH // 2 - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(count: int) -> float:
        return _LEFT + width * (log10(count / counts[0]) / log10(counts[-1] / counts[0]))

    def y(value: float) -> float:
        return _TOP + height * (high - log10(value)) / (high - low)

    yield f'<text class="b" x="{_LEFT}" y="24">{escape(panel.title)}</text>'
    for power in range(low, high + 1):
        at = y(10.0**power)
        yield f'<path class="grid" d="M{_LEFT} {at:.1f}h{width}"/>'
        yield f'<text class="f e" x="{_LEFT - 6}" y="{at + 4:.1f}">{panel.unit(10.0**power)}</text>'
    for count in counts:
        yield f'<path class="grid" d="M{x(count):.1f} {_TOP}v{height}"/>'
        yield f'<text class="f m" x="{x(count):.1f}" y="{_TOP + height + 16}">{count:,}</text>'
    yield f'<text class="f m" x="{_LEFT + width / 2}" y="{_TOP + height + 32}">{escape(panel.x_title)}</text>'
    for name, line in reversed(panel.lines.items()):  # the first is drawn above the others
        yield _line([(x(count), y(value)) for count, value in sorted(line.items())], styles[name])


def _line(points: Sequence[tuple[float, float]], style: tuple[str, str, float]) -> str:
    color, dashes, width = style
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{width / 2 + 1}" fill="{color}"/>' for x, y in points)
    return f'<polyline points="{path}" stroke="{color}" stroke-width="{width}"{dashed}/>{dots}'
