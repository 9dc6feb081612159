"""Pages of documentation as tests read them: their code, and the addresses in it that the emulator stands for."""

import contextlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdstream_core.emulator import Emulator

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
}

_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>[^>]+?) -->\n+)?"
    r"```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?[^\n]*\n(?P<code>.*?)^```$(?P<behind>\n*)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: `python`, `sh`, `text` …
        code: What stands in it.
        line: Where it begins.
        title: The file that it is.
        why: The reason not to run it.
        shown: The block of text right behind it: what it prints.
    """

    language: str
    code: str
    line: int
    title: str = ""
    why: str = ""
    shown: str | None = None


def blocks(page: str, language: str) -> list[Block]:
    """The blocks of a page in one language."""
    found = [*_BLOCK.finditer(page)]
    return [
        Block(
            match["language"],
            match["code"],
            page.count("\n", 0, match.start()) + 1,
            match["title"] or "",
            match["why"] or "",
            _shown(match, found[at + 1 :]),
        )
        for at, match in enumerate(found)
        if match["language"] == language
    ]


def _shown(block: re.Match[str], following: list[re.Match[str]]) -> str | None:
    """A block of text with nothing between it and this one."""
    if following and following[0].start() == block.end() and following[0]["language"] == "text":
        return following[0]["code"]
    return None


def addresses(emulator: Emulator) -> dict[str, str]:
    """What stands on the pages, as patterns, and what is asked instead."""
    oracle, huawei = emulator.oci_generative_ai, emulator.modelarts
    return {
        r'"https://modeldeployment\.[^"]*"': f'"{emulator.endpoint}"',
        r'auth_type(=|": )"(resource|instance)_principal"': r'auth_type\1"none"',
        r'(?<!")region="us-chicago-1"': f'service_endpoint="{oracle.endpoint}"',
        r'"region": "us-chicago-1"': f'"service_endpoint": "{oracle.endpoint}"',
        r'"https://inference\.generativeai\.[^"]*"': f'"{oracle.endpoint}"',
        r"ocid1\.compartment\.oc1\.\.aaaa": oracle.compartment_id,
        r'"my-endpoint"': '"emulated"',
        r'"my-(\w+)-endpoint"': r'"\1"',
        r'"https://infer-modelarts-[^"]*"': f'"{huawei.endpoint}"',
        r'"wss://infer-modelarts-[^"]*"': f'"{huawei.websocket_endpoint}"',
        r'"https://api\.modelarts-maas\.com/v1"': f'"{huawei.maas}"',
        r'"https://iam\.[^"]*"': f'"{huawei.iam}"',
    }


def emulator_environment(emulator: Emulator) -> dict[str, str]:
    """The environment in which the pages' code asks the emulator without a word about it."""
    return {
        "OCI_IAM_TYPE": "none",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": emulator.url,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def run_page(page: str, emulator: Emulator, others: Mapping[str, str] | None = None) -> Iterator[tuple[Block, str]]:
    """The blocks of a page, each run after those before it, with what it prints.

    Args:
        page: The page's text.
        cloud: Who answers.
        others: Patterns, and what is put in their place, instead of those of `addresses`.
    """
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page, "python"):
        if block.why or block.title:
            continue
        code = "\n" * block.line + block.code
        for pattern, address in {**addresses(emulator), **(others or {})}.items():
            code = re.sub(pattern, address, code)
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(compile(code, "page", "exec"), names)
        yield block, shown.getvalue()
