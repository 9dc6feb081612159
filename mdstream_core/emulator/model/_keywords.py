"""Keywords of a text or of an identifier: the words that carry meaning, normalized."""

import re

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_STOP = frozenset(
    "a about an and any are as at be by can do does for from get give given has have i if in input into is it its me "
    "my of on or our please return returns set so tell that the their them then there these this to tool tools "
    "function use used user using value was what when where which who will with would you your one some need want "
    "make let us".split()
)
_SIGN = re.compile(r"(?<=[\d)])\s*([-+*×/÷])\s*(?=[\d(])")
_SIGN_WORDS = {"+": "add", "-": "subtract", "*": "multiply", "×": "multiply", "/": "divide", "÷": "divide"}
_SYNONYMS = {
    "adds": "add", "adder": "add", "sum": "add", "plus": "add", "addition": "add", "adding": "add",
    "multiplies": "multiply", "times": "multiply", "product": "multiply", "multiplication": "multiply",
    "subtracts": "subtract", "minus": "subtract", "difference": "subtract",
    "divides": "divide", "divided": "divide", "quotient": "divide",
    "forecast": "weather", "temperature": "weather",
}  # fmt: skip


def _stem(word: str) -> str:
    word = _SYNONYMS.get(word, word)
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def keywords(text: str) -> list[str]:
    """Return the words that carry meaning, in order; operators between numbers become words.

    >>> keywords("What is 3 + 4?"), keywords("get_currentWeather")
    (['3', 'add', '4'], ['current', 'weather'])
    """
    with_words = _SIGN.sub(lambda match: f" {_SIGN_WORDS[match[1]]} ", text)
    words = (word.lower() for word in _WORD.findall(_CAMEL.sub(" ", with_words)))
    return [_stem(word) for word in words if word not in _STOP]
