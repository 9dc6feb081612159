"""What a sentence offers to fill arguments with: numbers, quoted words, names, places, dates. Each is taken once."""

import re

from mdstream_core.emulator.model._keywords import keywords

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)")
_QUOTED = re.compile(r"'([^'\n]+)'(?!\w)|\"([^\"\n]+)\"|“([^”\n]+)”|`([^`\n]+)`|「([^」\n]+)」|«([^»\n]+)»")
_PROPER = re.compile(r"\b[A-Z][\w'’.-]*(?:,? (?:(?:de|of|la|van|von) )?[A-Z][\w'’-]*)*")
_UPPER = "A-ZÀ-ÞĀ-Ž"
_PLACE = re.compile(
    r"\b(?:in|at|for|near|of|to|from|over)\s+"
    rf"((?:the )?[{_UPPER}\u0370-\uFFFF][\w'’.-]*(?:,? [{_UPPER}][\w'’-]*)*)"
)
_DIGITS = 300  # of a number that is read
_FORMS = {
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "uri": re.compile(r"https?://[^\s'\"<>)]+"),
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "date-time": re.compile(r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?\S*"),
    "time": re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b"),
    "uuid": re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
}
# Words that begin a sentence with a capital letter and name nobody.
_NOT_NAMES = frozenset(
    "What What's Who Where When Why How Which The A An Is Are Do Does Can Could Tell Give Create Make Use "
    "Using Call Get Find Show Add Return Please Write Name Extract Hello Hi Hey I It It's Book Send "
    "Search List Translate Compare Say Multiply Subtract Divide Set Turn Look Answer My He She They We "
    "You And Then Also In On For Check Schedule".split()
)


class ValueExtractor:
    """One sentence while its facts are given away."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = frozenset(keywords(text))
        self._used: set[tuple[str, str]] = set()
        self.numbers = [float(found) if "." in found else int(found[:_DIGITS]) for found in _NUMBER.findall(text)]
        self.quoted = [next(filter(None, groups)) for groups in _QUOTED.findall(text)]
        self.places = [_trim(place) for place in _PLACE.findall(text)]
        self.proper = [name for name in map(_trim, _names(text)) if name]

    def next_number(self, *, whole: bool = False) -> float | int | None:
        """The next number of the sentence."""
        while self.numbers:
            number = self.numbers.pop(0)
            return int(number) if whole else number
        return None

    def next(self, kind: str) -> str | None:
        """The next `quoted`, `places` or `proper` that was not given away as anything else."""
        found: list[str] = getattr(self, kind)
        while found:
            value = found.pop(0)
            if ("text", value) not in self._used:
                self._used.add(("text", value))
                return value
        return None

    def next_formatted(self, form: str) -> str | None:
        """The first text of this format."""
        match = _FORMS[form].search(self.text) if form in _FORMS else None
        return match[0] if match else None

    def find_labelled(self, name: str) -> str | None:
        """What follows `name:`, `name=` or `name is`."""
        spoken = re.escape(name).replace("_", "[ _]")
        value = r"\s*(?:=|:|\bis\b|\bof\b)\s*(['\"]?)([^'\",;\n]{1,500}?)\1(?=[,;.\n?!)]|\s+and\b|$)"
        match = re.search(rf"\b{spoken}{value}", self.text, re.IGNORECASE)
        return match[2].strip() if match else None


def _names(text: str) -> list[str]:
    found = []
    for match in _PROPER.finditer(text):
        name = match[0]
        first, _, rest = name.partition(" ")
        found.append(rest if first.rstrip(",") in _NOT_NAMES else name)
    return found


def _trim(text: str) -> str:
    return text.strip().rstrip(".,;:?!'’")
