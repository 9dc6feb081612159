"""`Channel`: the text of one kind and choice of an output, of which a part is held back."""

from mdstream_core.guardrails.redaction import redact
from mdstream_core.guardrails.violations import TextLocation


class Channel:
    """The text of one kind and choice: what is held back, and the end of what was released. Positions count from the
    start of the output.

    Args:
        location: Where the text comes from, for the error.
        is_complete: Whether no further text arrives, so that nothing waits for a later check.
    """

    def __init__(self, location: TextLocation = "output", *, is_complete: bool = False) -> None:
        self.location = location
        self._is_complete = is_complete
        self._parts: list[str] = []
        self._start = 0
        self.end = 0
        self.checked = 0
        self.released = 0
        self._spans: list[tuple[int, int, str]] = []

    def append(self, text: str) -> None:
        """Add text that arrived."""
        self._parts.append(text)
        self.end += len(text)

    def text(self) -> str:
        """Return the text to check: all that is held back, and some of the text before it."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    def record(self, spans: list[tuple[int, int, str]]) -> None:
        """Record that the text was checked, and the spans of it to redact."""
        self.checked = self.end
        moved = ((first + self._start, last + self._start, label) for first, last, label in spans)
        self._spans = [(max(first, self.released), last, label) for first, last, label in moved if last > self.released]

    def releasable_end(self, overlap: int) -> int:
        """Return the position up to which text can be released: never within a span to redact."""
        end = max(self.checked - (0 if self._is_complete else overlap), self.released)
        for first, last, _ in reversed(self._spans):
            end = first if first < end < last else end
        return max(end, self.released)

    def take(self, start: int, end: int) -> str:
        """Return the text between two positions, redacted, and count it as released."""
        self.released = end
        return redact(self.text()[start - self._start : end - self._start], start, self._spans)

    def trim(self, context: int) -> None:
        """Forget the text that was released, except the characters that later checks cover."""
        surplus = min(self.released, self.checked) - context - self._start
        if surplus > 0:
            self._parts = [self.text()[surplus:]]
            self._start += surplus
