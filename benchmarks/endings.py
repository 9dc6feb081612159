"""What a broken stream is to each package: an error, or a success. `python -m benchmarks.endings` prints the table.

It is the table of docs/comparison.md: one question, which the emulator breaks off in one way after the other.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from benchmarks import contenders as who
from benchmarks.contenders import Contender, Entry
from mdstream_core.emulator import Emulator, Fault

FAULTS: dict[str, Fault | None] = {
    "nothing breaks": None,
    "trailer behind half": Fault("trailer", after=6),
    "trailer behind all": Fault("trailer"),
    "vLLM's error event": Fault("error_event", after=6),
    "`event: error`": Fault("error_event", "named", after=6),
    "no finish reason": Fault("no_finish", after=6),
    "connection cut": Fault("cut", after=6),
}

#: Each package's own idea of the address.
PLATFORM_CASES: dict[Entry, Callable[[Emulator], str]] = {
    who.LANGCHAIN: lambda emulator: emulator.url,
    who.LANGCHAIN_PEERS[0]: lambda emulator: emulator.endpoint,
    who.LANGCHAIN_PEERS[1]: lambda emulator: emulator.url,
    who.LANGCHAIN_PEERS[2]: lambda emulator: f"{emulator.endpoint}/predictWithResponseStream/v1",
    who.LLAMAINDEX: lambda emulator: emulator.url,
    who.LLAMAINDEX_PEERS[0]: lambda emulator: emulator.endpoint,
    who.LLAMAINDEX_PEERS[1]: lambda emulator: f"{emulator.endpoint}/predictWithResponseStream/v1",
}

_PACKAGES = ("langchain-oci", "langchain-openai", "llama-index-llms-oci-data-science", "llama-index-llms-openai-like")


@dataclass(frozen=True, slots=True)
class _Position:
    """As much of a `Source` as a contender's address needs."""

    url: str


def main() -> None:
    """Print the table in Markdown."""
    with Emulator() as emulator:
        columns = {entry: _column(entry, emulator) for entry in PLATFORM_CASES}
    print(f"| | {' | '.join(entry.name for entry in columns)} |")
    print("|---|" + "---|" * len(columns))
    for title in FAULTS:
        print(f"| {title} | {' | '.join(column[title] for column in columns.values())} |")
    print("\n" + ", ".join(f"{name} {version(name)}" for name in _PACKAGES))


def _column(entry: Entry, emulator: Emulator) -> dict[str, str]:
    platform_case: Any = _Position(PLATFORM_CASES[entry](emulator))
    contender = entry.open(platform_case)
    whole, _ = _read(contender)
    column = {}
    for title, fault in FAULTS.items():
        emulator.reset()
        emulator.script(fault)
        column[title] = _outcome(whole, *_read(contender))
    return column


def _read(contender: Contender) -> tuple[str, BaseException | None]:
    """What was said, and what was raised, whatever it is."""
    content: list[str] = []

    def reading() -> None:
        content.extend(contender.text(piece) for piece in contender.stream())

    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(reading).exception()
    return "".join(content), error


def _outcome(whole: str, content: str, error: BaseException | None) -> str:
    if error is not None:
        return f"`{type(error).__name__}`"
    amount = "" if content == whole else ": half" if whole.startswith(content) else ": said twice"
    return f"success{amount}"


if __name__ == "__main__":
    main()
