"""Answers out of a text that came with the question, as retrieval programs send it."""

import re

from mdstream_core.emulator.brain._question import Question
from mdstream_core.emulator.brain._words import words

_ASKED = re.compile(
    r"(?:^|\n)\s*(?:Query|Question|User question|Q)\s*:\s*(.+?)\s*(?:\n\s*(?:Answer|Helpful Answer|A)\b.*)?$", re.DOTALL
)
_GIVEN = re.compile(r"\bcontext\b|\bpassages?\b|\bdocuments?\b|\bsources?\b|<context>|-{5,}", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?\n]*[^\s.!?][.!?]*(?=\s|$)")
_LONG = 60  # characters: below this there is no text to look into


def from_context(question: Question) -> str | None:
    """The sentence of the given text that shares most words with the question."""
    given, asked = _split(question)
    wanted = set(words(asked))
    if not given or not wanted:
        return None
    sentences = [found.strip() for found in _SENTENCE.findall(given) if len(found.split()) > 2]
    best = max(sentences, key=lambda sentence: len(wanted & set(words(sentence))), default="")
    return best if wanted & set(words(best)) else None


def _split(question: Question) -> tuple[str, str]:
    """The given text and the question."""
    match = _ASKED.search(question.text)
    if match and _GIVEN.search(question.text[: match.start() + 1]):
        return question.text[: match.start()], match[1]
    if len(question.system) > _LONG and _GIVEN.search(question.system):
        return question.system, question.text
    return "", ""
