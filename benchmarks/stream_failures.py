"""How each package reports a failed stream: error or success. `python -m benchmarks.stream_failures` prints the table.

The table is in docs/comparison.md: the same request, with each failure of the emulator.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from benchmarks import contenders as all_contenders
from benchmarks.contenders import Contender, Entry, NotInstalled
from mdstream_core.emulator import Emulator, Fault

FAULTS: dict[str, Fault | None] = {
    "no failure": None,
    "trailer after half": Fault("trailer", after=6),
    "trailer after all": Fault("trailer"),
    "vLLM's error event": Fault("error_event", after=6),
    "`event: error`": Fault("error_event", "named", after=6),
    "no finish reason": Fault("no_finish", after=6),
    "connection closed": Fault("cut", after=6),
    "exception frame": Fault("exception_frame", after=6),
}

#: The faults that only one service has.
_OCI_DEPLOYMENTS = {"trailer after half", "trailer after all"}
_SAGEMAKER = {"exception frame"}

#: The endpoint in the form that each package expects.
ENDPOINTS: dict[Entry, Callable[[Emulator], str]] = {
    all_contenders.LANGCHAIN: lambda emulator: emulator.url,
    all_contenders.LANGCHAIN_PEERS[0]: lambda emulator: emulator.endpoint,
    all_contenders.LANGCHAIN_PEERS[1]: lambda emulator: emulator.url,
    all_contenders.LANGCHAIN_PEERS[2]: lambda emulator: f"{emulator.endpoint}/predictWithResponseStream/v1",
    all_contenders.LANGCHAIN_PEERS[3]: lambda emulator: f"{emulator.endpoint}/predictWithResponseStream/v1",
    all_contenders.LITELLM_ROUTES[0]: lambda emulator: emulator.url,
    all_contenders.LITELLM_ROUTES[1]: lambda emulator: emulator.url,
    all_contenders.LLAMAINDEX: lambda emulator: emulator.url,
    all_contenders.LLAMAINDEX_PEERS[0]: lambda emulator: emulator.endpoint,
    all_contenders.LLAMAINDEX_PEERS[1]: lambda emulator: f"{emulator.endpoint}/predictWithResponseStream/v1",
}

_PACKAGES = (
    *("langchain-oci", "langchain-openai", "langchain-litellm", "litellm"),
    *("llama-index-llms-oci-data-science", "llama-index-llms-openai-like"),
)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """The part of `Source` that a contender uses."""

    url: str
    mode: str = "burst"


def main() -> None:
    """Print the table in Markdown."""
    columns = outcomes()
    print(f"| | {' | '.join(columns)} |")
    print("|---|" + "---|" * len(columns))
    for title in FAULTS:
        print(f"| {title} | {' | '.join(column[title] for column in columns.values())} |")
    print("\n" + ", ".join(f"{name} {version(name)}" for name in _PACKAGES))


def outcomes() -> dict[str, dict[str, str]]:
    """Return how each contender whose package is installed reports each failure, by their names."""
    with Emulator() as emulator:
        columns = {}
        for entry in ENDPOINTS:
            try:
                columns[entry.name] = _column(entry, emulator)
            except NotInstalled as missing:
                print(missing, flush=True)
        return columns


def count_reported(column: dict[str, str]) -> tuple[int, int]:
    """Count the failures that a contender reports as an error, and those that its service has."""
    outcomes = [outcome for title, outcome in column.items() if FAULTS[title] and outcome]
    return sum(not outcome.startswith("success") for outcome in outcomes), len(outcomes)


def _column(entry: Entry, emulator: Emulator) -> dict[str, str]:
    source: Any = _Endpoint(ENDPOINTS[entry](emulator))
    contender = entry.open(source)
    complete, _ = _read(contender)
    column = {}
    for title, fault in FAULTS.items():
        if title in _absent_faults(entry):
            column[title] = ""
            continue
        emulator.reset()
        emulator.script(fault)
        column[title] = _outcome(complete, *_read(contender))
    return column


def _absent_faults(entry: Entry) -> set[str]:
    """The faults that the contender's service does not have."""
    genai, (litellm_oci, litellm_sagemaker) = all_contenders.LANGCHAIN_PEERS[1], all_contenders.LITELLM_ROUTES
    if entry is litellm_sagemaker:
        return _OCI_DEPLOYMENTS
    return _SAGEMAKER | _OCI_DEPLOYMENTS if entry in {genai, litellm_oci} else _SAGEMAKER


def _read(contender: Contender) -> tuple[str, BaseException | None]:
    """Read a stream; return its text and its error."""
    content: list[str] = []

    def read() -> None:
        content.extend(contender.text(piece) for piece in contender.stream())

    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(read).exception()
    return "".join(content), error


def _outcome(complete: str, content: str, error: BaseException | None) -> str:
    if error is not None:
        return f"`{type(error).__name__}`"
    amount = "" if content == complete else ": half" if complete.startswith(content) else ": repeated"
    return f"success{amount}"


if __name__ == "__main__":
    main()
