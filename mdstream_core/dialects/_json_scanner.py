"""Finding the end of a JSON value that comes in pieces."""

import re

_STRING_DELIMITERS = {quote: re.compile(rf"[{quote}\\]") for quote in "\"'"}

#: Where brackets and strings begin in JSON.
JSON_DELIMITERS = re.compile(r'["{}\[\]]')


class JSONValueScanner:
    """Looks for the bracket that closes a value which comes in pieces."""

    __slots__ = ("_depth", "_mark", "_quote", "_skip", "is_closed", "is_malformed")

    def __init__(self, depth: int = 0, mark: re.Pattern[str] = JSON_DELIMITERS) -> None:
        self._depth = depth
        self._mark = mark
        self._quote = ""
        self._skip = 0
        self.is_closed = self.is_malformed = False

    def find_end(self, text: str, at: int) -> int:
        """How far the text belongs to the value: to behind the last bracket, or to the text's end."""
        at += self._skip
        while found := (_STRING_DELIMITERS[self._quote] if self._quote else self._mark).search(text, at):
            mark, at = found[0], found.end()
            if mark == "\\":
                at += 1
            elif mark == "<":
                self.is_closed = self.is_malformed = True
                return found.start()
            elif mark in "\"'":
                self._quote = "" if self._quote else mark
            else:
                self._depth += 1 if mark in "([{" else -1
                self.is_closed = not self._depth
            if self.is_closed:
                return at
        self._skip = max(0, at - len(text))  # the other half of an escape
        return len(text)
