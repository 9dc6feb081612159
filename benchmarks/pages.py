"""Parts of documentation pages that benchmarks write, between two markers."""

import os
import platform
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

BEGIN, END = "<!-- figures: written by make comparison -->", "<!-- end of figures -->"

#: The packages whose versions the figures depend on.
PACKAGES = (
    "mdstream-llm",
    "httpx",
    "langchain-core",
    "llama-index-core",
    "langchain-oci",
    "langchain-openai",
    "langchain-litellm",
    "litellm",
    "langchain-aws",
    "llama-index-llms-oci-data-science",
    "llama-index-llms-openai-like",
    "llama-index-embeddings-oci-data-science",
    "oci",
    "openai",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What figures depend on besides the code.

    Attributes:
        date: Day of the measurement.
        python: Implementation and version of Python.
        processor: Model of the processor.
        cores: Number of cores.
        versions: Version of each installed package.
    """

    date: str
    python: str
    processor: str
    cores: int
    versions: dict[str, str]

    @classmethod
    def current(cls) -> Self:
        """This machine, today."""
        return cls(
            f"{datetime.now(UTC):%Y-%m-%d}",
            f"{platform.python_implementation()} {platform.python_version()}",
            _processor(),
            os.cpu_count() or 1,
            dict(_versions()),
        )

    @property
    def description(self) -> str:
        """The machine and the versions."""
        return f"{self.cores} cores of {self.processor}, {self.python}, {self.packages}"

    @property
    def packages(self) -> str:
        """The versions."""
        return ", ".join(f"{name} {number}" for name, number in self.versions.items())

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON."""
        return asdict(self)


def _processor() -> str:
    """The model of the processor, which Linux has in a file."""
    details = Path("/proc/cpuinfo")
    lines = details.read_text(encoding="utf-8").splitlines() if details.exists() else []
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def replace(page: str, figures: str, begin: str = BEGIN) -> str:
    """Return a page with other figures between a marker and the end.

    Raises:
        ValueError: The page has no such marker.
    """
    before, marker, rest = page.partition(begin)
    if not marker:
        raise ValueError(f"the page has no marker {begin}")
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{figures}\n\n{END}{after}"


def title(name: str) -> str:
    """The title of a contender in Markdown: its class as code, and our packages in bold type."""
    if name.endswith("_mdstream") or name == "mdstream_core":
        return f"**`{name}`**"
    found = re.fullmatch(r"(.*\w) ([A-Z]\w*[a-z]\w*)(?:, (\w+/))?", name)
    if found is None:
        return name
    package, cls, route = found.groups()
    return f"{package} `{cls}`" + (f", `{route}`" if route else "")
