"""Pages of documentation for tests: their code blocks, and the endpoints in them that the emulator replaces."""

import contextlib
import gc
import importlib.util
import io
import logging
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
    r"^(?:<!-- not run: (?P<skip_reason>[^>]+?) -->\n+)?"
    r"(?:<!-- run by: (?P<test>[^>]+?) -->\n+)?"
    r"(?:<!-- needs: (?P<needs>[\w, ]+?) -->\n+)?"
    r"```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?[^\n]*\n(?P<code>.*?)^```$(?P<blank_lines>\n*)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: `python`, `sh`, `text` …
        code: Its content.
        line: The number of its first line.
        title: The name of the file that it is; empty if it is none.
        skip_reason: Why it is not run; empty if it is run.
        test: The test file that runs it, for recipes that need an engine; here it is only compiled.
        needs: Names of modules; where one of them is not installed, the block is only compiled.
        output: The text block directly after it, which is what it prints.
    """

    language: str
    code: str
    line: int
    title: str = ""
    skip_reason: str = ""
    test: str = ""
    needs: tuple[str, ...] = ()
    output: str | None = None


def blocks(page: str, language: str) -> list[Block]:
    """The blocks of a page in one language."""
    matches = [*_BLOCK.finditer(page)]
    return [
        Block(
            match["language"],
            match["code"],
            page.count("\n", 0, match.start()) + 1,
            match["title"] or "",
            match["skip_reason"] or "",
            match["test"] or "",
            tuple(re.findall(r"\w+", match["needs"] or "")),
            _output(match, matches[index + 1 :]),
        )
        for index, match in enumerate(matches)
        if match["language"] == language
    ]


def _output(block: re.Match[str], following: list[re.Match[str]]) -> str | None:
    """The content of the text block that follows directly; `None` if there is none."""
    if following and following[0].start() == block.end() and following[0]["language"] == "text":
        return following[0]["code"]
    return None


def addresses(emulator: Emulator) -> dict[str, str]:
    """Patterns of the endpoints on the pages, and the emulator's endpoints that replace them."""
    generative_ai, modelarts = emulator.oci_genai, emulator.modelarts
    return {
        r'"https://modeldeployment\.[^"]*"': f'"{emulator.endpoint}"',
        r'auth_type(=|": )"((resource|instance)_principal|api_key)"': r'auth_type\1"none"',
        r'credentials_profile_name="team"': 'aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret"',
        r'(?<!")region="us-chicago-1"': f'service_endpoint="{generative_ai.endpoint}"',
        r'"region": "us-chicago-1"': f'"service_endpoint": "{generative_ai.endpoint}"',
        r'"https://inference\.generativeai\.[^"]*"': f'"{generative_ai.endpoint}"',
        r"ocid1\.compartment\.oc1\.\.aaaa": generative_ai.compartment_id,
        r'"my-endpoint"': '"emulated"',
        r'"my-(\w+)-endpoint"': r'"\1"',
        r'"https://infer-modelarts-[^"]*"': f'"{modelarts.endpoint}"',
        r'"wss://infer-modelarts-[^"]*"': f'"{modelarts.websocket_endpoint}"',
        r'"https://api\.modelarts-maas\.com/v1"': f'"{modelarts.maas}"',
        r'"https://iam\.[^"]*"': f'"{modelarts.iam}"',
    }


def emulator_environment(emulator: Emulator) -> dict[str, str]:
    """The environment variables with which the pages' code uses the emulator."""
    return {
        "OCI_IAM_TYPE": "none",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": emulator.url,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def run_page(
    page: str, emulator: Emulator, replacements: Mapping[str, str] | None = None
) -> Iterator[tuple[Block, str]]:
    """Run the Python blocks of a page, one after the other in one namespace.

    Args:
        page: The page's text.
        emulator: The emulator that receives the requests.
        replacements: Patterns and their replacements, which take precedence over those of `addresses`.

    Yields:
        Each block, and what it printed.
    """
    with unchanged_logging(), unchanged_collector():
        yield from _run_blocks(page, {**addresses(emulator), **(replacements or {})})


@contextlib.contextmanager
def unchanged_logging() -> Iterator[None]:
    """Restore the levels and handlers of all loggers: a page may configure them for its reader's process."""
    loggers = [logging.root, *(one for one in logging.root.manager.loggerDict.values() if hasattr(one, "handlers"))]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    try:
        yield
    finally:
        for logger, level, handlers, propagate in before:
            logger.setLevel(level)
            logger.handlers[:], logger.propagate = handlers, propagate


@contextlib.contextmanager
def unchanged_collector() -> Iterator[None]:
    """Restore the thresholds of the garbage collector."""
    before = gc.get_threshold()
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _run_blocks(page: str, replacements: Mapping[str, str]) -> Iterator[tuple[Block, str]]:
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page, "python"):
        if block.skip_reason or block.title:
            continue
        code = "\n" * block.line + block.code
        for pattern, address in replacements.items():
            code = re.sub(pattern, address, code)
        compiled = compile(code, "page", "exec")
        if block.test or not all(map(importlib.util.find_spec, block.needs)):
            continue
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compiled, namespace)
        yield block, output.getvalue()
