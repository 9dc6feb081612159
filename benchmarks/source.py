"""A response of the benchmark's server, as contenders need it: this module imports nothing that a contender imports."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


def token(i: int) -> str:
    """Return the text of the `i`-th chunk."""
    return f"tok{i} "


@dataclass(frozen=True, slots=True)
class Source:
    """A response of the server.

    Attributes:
        port: Port of the server.
        mode: `burst`, `paced`, `paced-<milliseconds>` or `whole`.
        count: Number of tokens.
    """

    port: int
    mode: str
    count: int

    @property
    def url(self) -> str:
        """The base URL; every client appends its own path."""
        return f"http://127.0.0.1:{self.port}/{self.mode}/{self.count}"

    @property
    def texts(self) -> list[str]:
        """The texts of the tokens."""
        return [token(i) for i in range(self.count)]
