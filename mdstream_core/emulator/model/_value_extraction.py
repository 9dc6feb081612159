"""Extract the values of a text that can fill arguments: numbers, quoted texts, names, locations, dates."""

import re

from mdstream_core.emulator.model._keywords import keywords

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)")
_QUOTED = re.compile(r"'([^'\n]+)'(?!\w)|\"([^\"\n]+)\"|“([^”\n]+)”|`([^`\n]+)`|「([^」\n]+)」|«([^»\n]+)»")
_PROPER = re.compile(r"\b[A-Z][\w'’.-]*(?:,? (?:(?:de|of|la|van|von) )?[A-Z][\w'’-]*)*")
_UPPER = "A-ZÀ-ÞĀ-Ž"
_LOCATION = re.compile(
    r"\b(?:in|at|for|near|of|to|from|over)\s+"
    rf"((?:the )?[{_UPPER}\u0370-\uFFFF][\w'’.-]*(?:,? [{_UPPER}][\w'’-]*)*)"
)
_MAX_DIGITS = 300  # of a number that is parsed
_FORMATS = {
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "uri": re.compile(r"https?://[^\s'\"<>)]+"),
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "date-time": re.compile(r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?\S*"),
    "time": re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b"),
    "uuid": re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
}
# Words that start a sentence with a capital letter and are no names.
_SENTENCE_STARTS = frozenset(
    "What What's Who Where When Why How Which The A An Is Are Do Does Can Could Tell Give Create Make Use "
    "Using Call Get Find Show Add Return Please Write Name Extract Hello Hi Hey I It It's Book Send "
    "Search List Translate Compare Say Multiply Subtract Divide Set Turn Look Answer My He She They We "
    "You And Then Also In On For Check Schedule".split()
)


class ValueExtractor:
    """The values of one text, each of which is used once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = frozenset(keywords(text))
        self._used: set[tuple[str, str]] = set()
        self.numbers = [float(found) if "." in found else int(found[:_MAX_DIGITS]) for found in _NUMBER.findall(text)]
        self.quoted = [next(filter(None, groups)) for groups in _QUOTED.findall(text)]
        self.locations = [_trim(location) for location in _LOCATION.findall(text)]
        self.proper = [name for name in map(_trim, _names(text)) if name]

    def next_number(self, *, whole: bool = False) -> float | int | None:
        """Return the next number."""
        while self.numbers:
            number = self.numbers.pop(0)
            return int(number) if whole else number
        return None

    def next(self, kind: str) -> str | None:
        """Return the next of the `quoted`, `locations` or `proper` values that is not used yet."""
        values: list[str] = getattr(self, kind)
        while values:
            value = values.pop(0)
            if ("text", value) not in self._used:
                self._used.add(("text", value))
                return value
        return None

    def next_formatted(self, format: str) -> str | None:
        """Return the first text with this JSON Schema format."""
        match = _FORMATS[format].search(self.text) if format in _FORMATS else None
        return match[0] if match else None

    def find_labelled(self, name: str) -> str | None:
        """Return the text after `name:`, `name=` or `name is`."""

        label = re.escape(name).replace("_", "[ _]")
        value = r"\s*(?:=|:|\bis\b|\bof\b)\s*(['\"]?)([^'\",;\n]{1,500}?)\1(?=[,;.\n?!)]|\s+and\b|$)"
        match = re.search(rf"\b{label}{value}", self.text, re.IGNORECASE)
        return match[2].strip() if match else None


def _names(text: str) -> list[str]:
    names = []
    for match in _PROPER.finditer(text):
        name = match[0]
        first, _, rest = name.partition(" ")
        names.append(rest if first.rstrip(",") in _SENTENCE_STARTS else name)
    return names


def _trim(text: str) -> str:
    return text.strip().rstrip(".,;:?!'’")
