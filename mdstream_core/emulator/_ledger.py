"""`RequestLedger`: when each request arrived, at which service, from which client, and whether it was accepted."""

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

MAX_LEDGER_ENTRIES = 100_000  # a security limit, as are the next two
MAX_CLIENT_CHARACTERS = 200
MAX_ENDPOINT_CHARACTERS = 200

LedgerField = Literal["client", "service", "endpoint"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One request, as the rate limits counted it.

    Attributes:
        time: When the request was received completely, in seconds of the emulator's monotonic clock.
        service: Service that received it, e.g. `sagemaker`.
        endpoint: Endpoint, deployment or model that it was sent to; empty if it named none.
        client: Its `User-Agent`, at most 200 characters; a test sets it with `default_headers`.
        accepted: Whether it was within the rate limits. Without limits every request is.
    """

    time: float
    service: str
    endpoint: str
    client: str
    accepted: bool


class RequestLedger:
    """The requests that an emulator counted, and what their rates were.

    The counts `request_count`, `accepted_count` and `rejected_count` are exact; everything else is computed from the
    newest 100,000 entries (`dropped_count` older ones are gone). All members can be used from any thread, also while
    requests arrive. `emulator.ledger.max_in_window(1.0, accepted=True)` is the highest rate that was accepted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[LedgerEntry] = deque(maxlen=MAX_LEDGER_ENTRIES)
        self._accepted_count = 0
        self._rejected_count = 0

    def add(self, entry: LedgerEntry) -> None:
        """Add the newest entry; drop the oldest one if there are too many."""
        with self._lock:
            self._entries.append(entry)
            if entry.accepted:
                self._accepted_count += 1
            else:
                self._rejected_count += 1

    def clear(self) -> None:
        """Remove all entries and set all counts to 0."""
        with self._lock:
            self._entries.clear()
            self._accepted_count = self._rejected_count = 0

    @property
    def entries(self) -> list[LedgerEntry]:
        """The newest 100,000 entries, oldest first."""
        with self._lock:
            return list(self._entries)

    @property
    def request_count(self) -> int:
        """Number of requests, accepted and rejected."""
        with self._lock:
            return self._accepted_count + self._rejected_count

    @property
    def accepted_count(self) -> int:
        """Number of requests within the rate limits."""
        with self._lock:
            return self._accepted_count

    @property
    def rejected_count(self) -> int:
        """Number of requests that a rate limit rejected."""
        with self._lock:
            return self._rejected_count

    @property
    def dropped_count(self) -> int:
        """Number of entries that were dropped because there are more than 100,000."""
        with self._lock:
            return self._accepted_count + self._rejected_count - len(self._entries)

    def select(self, *, accepted: bool | None = None) -> list[LedgerEntry]:
        """Return the entries of accepted requests (`True`), of rejected ones (`False`), or all (`None`)."""
        return [entry for entry in self.entries if accepted is None or entry.accepted is accepted]

    def max_in_window(self, seconds: float = 1.0, *, accepted: bool | None = None) -> int:
        """Return the largest number of requests within any period of this length, wherever it starts.

        Args:
            seconds: Length of the period; its end does not belong to it.
            accepted: Count accepted requests only (`True`), rejected ones only (`False`), or all (`None`).

        Raises:
            ValueError: The length is not positive.
        """
        if not seconds > 0:
            raise ValueError(f"seconds={seconds!r} is not positive (hint: pass the length of the period, such as 1.0)")
        return _max_in_window([entry.time for entry in self.select(accepted=accepted)], seconds)

    def count_per_second(self, *, accepted: bool | None = None) -> dict[int, int]:
        """Count the requests of each second.

        Args:
            accepted: Count accepted requests only (`True`), rejected ones only (`False`), or all (`None`).

        Returns:
            Whole seconds since the oldest entry to the number of requests in them; seconds without any are absent.
        """
        entries = self.entries
        start = entries[0].time if entries else 0.0
        counted = (entry.time for entry in entries if accepted is None or entry.accepted is accepted)
        return dict(Counter(int(time - start) for time in counted))

    def count_by(self, field: LedgerField, *, accepted: bool | None = None) -> dict[str, int]:
        """Count the requests of each client, service or endpoint.

        Args:
            field: `client`, `service` or `endpoint`.
            accepted: Count accepted requests only (`True`), rejected ones only (`False`), or all (`None`).

        Returns:
            Value of the field to the number of requests, the largest number first.

        Raises:
            ValueError: There is no such field.
        """
        if field not in {"client", "service", "endpoint"}:
            raise ValueError(f"field={field!r} is unknown (hint: use one of client, service, endpoint)")
        return dict(Counter(getattr(entry, field) for entry in self.select(accepted=accepted)).most_common())

    def shares(self, field: LedgerField = "client", *, accepted: bool | None = True) -> dict[str, float]:
        """Return the share of each client, service or endpoint in the accepted requests, from 0 to 1.

        Args:
            field: `client`, `service` or `endpoint`.
            accepted: Count accepted requests only (`True`), rejected ones only (`False`), or all (`None`).

        Raises:
            ValueError: There is no such field.
        """
        counts = self.count_by(field, accepted=accepted)
        total = sum(counts.values())
        return {name: count / total for name, count in counts.items()}

    def summarize(self) -> str:
        """Describe the totals in one line, as `mdstream emulate` prints them when it ends."""
        with self._lock:
            accepted, rejected = self._accepted_count, self._rejected_count
        return (
            f"{accepted + rejected:,} requests: {accepted:,} accepted, {rejected:,} rejected by a rate limit; at most "
            f"{self.max_in_window(accepted=True):,} accepted and {self.max_in_window():,} received within one second"
        )


def _max_in_window(times: Iterable[float], seconds: float) -> int:
    """Return the largest number of times, which are sorted, that are less than `seconds` apart."""
    window: deque[float] = deque()
    largest = 0
    for time in times:
        window.append(time)
        while time - window[0] >= seconds:
            window.popleft()
        largest = max(largest, len(window))
    return largest
