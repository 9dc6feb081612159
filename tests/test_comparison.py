"""The figures of the documentation are those that the benchmarks have written to their files."""

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks import chart, comparison, first_token, pages, scaling_page


def test_the_tables_of_the_comparison() -> None:
    """`python -m benchmarks --table-only` writes them."""
    figures = comparison.Figures(json.loads(comparison.FIGURES.read_text(encoding="utf-8")))
    text = comparison.PAGE.read_text(encoding="utf-8")

    assert pages.replace(text, comparison.render(figures)) == text


def test_the_tables_of_the_curves() -> None:
    """`python -m benchmarks.scaling --table-only` writes them."""
    recorded = json.loads(scaling_page.FIGURES.read_text(encoding="utf-8"))
    text = scaling_page.PAGE.read_text(encoding="utf-8")

    assert pages.replace(text, scaling_page.tables(recorded), scaling_page.BEGIN) == text


@pytest.mark.parametrize("framework", scaling_page.FRAMEWORKS)
def test_the_pictures_of_the_curves(framework: str) -> None:
    """Each is drawn from the figures, and is well-formed."""
    recorded = json.loads(scaling_page.FIGURES.read_text(encoding="utf-8"))
    drawn = scaling_page.picture(framework, recorded["curves"][framework])

    assert drawn == (scaling_page.PICTURES / f"scaling-{framework}.svg").read_text(encoding="utf-8")
    assert ET.fromstring(drawn).tag.endswith("svg")


def test_every_contender_has_a_row() -> None:
    """One that was not measured has empty cells, so that a missing package shows."""
    tables = {
        "langchain chunk sync": {"langchain_mdstream": [7.0, 0.8]},
        "failures": {"langchain_mdstream": [6.0, 6.0]},
    }
    figures = comparison.Figures(_recorded(tables))
    rendered = comparison.render(figures)

    assert "| **`langchain_mdstream`** | 7.00 / - | 6 of 6 |" in rendered
    assert "| langchain-openai `ChatOpenAI` |  |  |" in rendered


def test_what_of_the_first_token_is_the_signature() -> None:
    """Ours with and without a signature, and the signature alone; the other contenders are in their framework's table."""
    tables: dict[str, dict[str, list[float]]] = {
        "first token": {
            "langchain_mdstream": [1.5, 1.6, 3.0, 3.1],
            "langchain_mdstream, bearer token": [1.0, 1.1, 2.0, 2.1],
            "langchain-openai ChatOpenAI": [2.5, 3.6, 7.0, 13.0],
            first_token.WARM: [0.35],
        }
    }
    rendered = comparison.render(comparison.Figures(_recorded(tables)))

    assert "| **`langchain_mdstream`**, signed | 1.50 / 1.60 |" in rendered
    assert "| **`langchain_mdstream`**, bearer token | 1.00 / 1.10 |" in rendered
    assert "| an RSA signature alone, in a loop | 0.35 |" in rendered
    assert rendered.count("2.50 / 3.60") == 1


def _recorded(tables: Mapping[str, Mapping[str, list[float]]]) -> dict[str, Any]:
    machine = {"date": "2026-11-29", "python": "CPython 3.11", "processor": "p", "cores": 2, "versions": {}}
    rows = {
        key: {"rows": [{"name": name, "figures": figures} for name, figures in table.items()]}
        for key, table in tables.items()
    }
    return {"machine": machine, "quick": False, "tables": rows}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("langchain_mdstream", "**`langchain_mdstream`**"),
        ("langchain-openai ChatOpenAI", "langchain-openai `ChatOpenAI`"),
        ("langchain-litellm ChatLiteLLM, oci/", "langchain-litellm `ChatLiteLLM`, `oci/`"),
        ("floor: a model in memory", "floor: a model in memory"),
        ("SageMaker, TGI", "SageMaker, TGI"),
    ],
)
def test_titles(name: str, title: str) -> None:
    """Classes and routes are code; the rest is text."""
    assert pages.title(name) == title


def test_lines_are_visible_on_light_and_dark_pages() -> None:
    """A contrast of 3 to 1 with both, which is WCAG's minimum for graphics."""
    for color, _, _ in chart.STYLES:
        for paper in ("#ffffff", "#1e2129"):
            light, dark = sorted((_luminance(color), _luminance(paper)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3, (color, paper)


def _luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_line_is_drawn_on_logarithmic_axes() -> None:
    """Ten times as much is as far apart everywhere, and the lowest and highest powers of ten are the edges."""
    panel = chart.Panel("CPU", "chunks", str, {"a": {10: 1.0, 100: 10.0, 1000: 100.0}})
    drawn = ET.fromstring(chart.render("Costs", ["a"], [panel]))

    (_, line) = [element.attrib["points"] for element in drawn.iter("{http://www.w3.org/2000/svg}polyline")]
    (x1, y1), (x2, y2), (x3, y3) = (map(float, point.split(",")) for point in line.split())
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2)
    assert y3 < y2 < y1
