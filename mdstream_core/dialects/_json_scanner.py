"""Find the end of a JSON value that is received in pieces."""

import re

_STRING_DELIMITERS = {quote: re.compile(rf"[{quote}\\]") for quote in "\"'"}

#: Brackets and string delimiters in JSON.
JSON_DELIMITERS = re.compile(r'["{}\[\]]')


class JSONValueScanner:
    """Finds the bracket that closes a JSON value, one piece of text after the other.

    Args:
        depth: How many brackets are open before the first piece.
        delimiters: The pattern that finds brackets and string delimiters.
    """

    __slots__ = ("_delimiters", "_depth", "_quote", "_skip", "is_closed", "is_malformed")

    def __init__(self, depth: int = 0, delimiters: re.Pattern[str] = JSON_DELIMITERS) -> None:
        self._depth = depth
        self._delimiters = delimiters
        self._quote = ""
        self._skip = 0
        self.is_closed = self.is_malformed = False

    def find_end(self, text: str, at: int) -> int:
        """Return the position after the closing bracket, or the end of the text if the value continues.

        Args:
            text: The text.
            at: The position in the text from which it belongs to the value.
        """
        at += self._skip
        while match := (_STRING_DELIMITERS[self._quote] if self._quote else self._delimiters).search(text, at):
            char, at = match[0], match.end()
            if char == "\\":
                at += 1
            elif char == "<":
                self.is_closed = self.is_malformed = True
                return match.start()
            elif char in "\"'":
                self._quote = "" if self._quote else char
            else:
                self._depth += 1 if char in "([{" else -1
                self.is_closed = not self._depth
            if self.is_closed:
                return at
        self._skip = max(0, at - len(text))  # an escape sequence may continue in the next piece
        return len(text)
