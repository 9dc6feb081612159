"""What to say in words: a few facts, a few tricks, and an echo for everything else."""

import re
from collections.abc import Callable

from mdstream_core.emulator.brain._question import Question

_CAPITALS = {
    "france": "Paris", "germany": "Berlin", "italy": "Rome", "spain": "Madrid", "portugal": "Lisbon", "japan": "Tokyo",
    "china": "Beijing", "india": "New Delhi", "england": "London", "the united kingdom": "London", "austria": "Vienna",
    "switzerland": "Bern", "poland": "Warsaw", "brazil": "Brasília", "canada": "Ottawa", "australia": "Canberra",
    "egypt": "Cairo", "kenya": "Nairobi", "mexico": "Mexico City", "sweden": "Stockholm", "norway": "Oslo",
}  # fmt: skip
_LISTS = {
    "river": ["the Nile", "the Amazon", "the Danube", "the Ganges", "the Rhine", "the Volga", "the Congo"],
    "planet": ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"],
    "color": ["red", "green", "blue", "yellow", "orange", "violet", "black"],
    "colour": ["red", "green", "blue", "yellow", "orange", "violet", "black"],
    "fruit": ["apples", "pears", "plums", "cherries", "grapes", "figs", "quinces"],
    "city": ["Paris", "London", "Tokyo", "Lagos", "Lima", "Rome", "Sydney"],
    "animal": ["a cat", "a dog", "an otter", "a heron", "a horse", "a bee", "a whale"],
    "bird": ["the heron", "the swift", "the owl", "the wren", "the kingfisher", "the crane", "the jay"],
    "language": ["Python", "Rust", "Haskell", "Lisp", "Go", "C", "Erlang"],
}
_COUNTED = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "plus": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "minus": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "x": lambda a, b: a * b,
    "×": lambda a, b: a * b,
    "times": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else float("nan"),
    "divided by": lambda a, b: a / b if b else float("nan"),
}
_HAIKU = "Words come one by one,\na quiet stream finds the sea.\nNothing has been lost."
_STORY = (
    "Once upon a time there was a {} who lived beside a stream. Every morning it sat on the bank and watched the words "
    "go by. One day the stream stopped in the middle of a sentence. The {} waited, and it asked, and it was told the "
    "reason. From then on it trusted the stream, for a stream that failed was never called a success."
)
_POEM = (
    "The river runs, the river sings,\nit carries small and heavy things;\n"
    "and when it stops, it tells you why,\nand does not end without goodbye."
)
_CALLED = re.compile(r"\bmy name is (\w+)|\bI am called (\w+)|\bcall me (\w+)", re.IGNORECASE)
_LIMIT = 400  # characters of an echo
_LONGEST = 20_000  # numbers that are counted
_HAIKUS = 100

Match = re.Match[str]


def _capital(match: Match, question: Question) -> str | None:
    city = _CAPITALS.get(match[1].strip().lower())
    return f"The capital of {match[1].strip()} is {city}." if city else None


def _name_some(match: Match, question: Question) -> str | None:
    number = _COUNTED.get(match[1].lower()) or (int(match[1][:9]) if match[1].isdecimal() else 3)
    word = match[2].lower()
    things = _LISTS.get(word) or _LISTS.get(word.removesuffix("s")) or _LISTS.get(re.sub("ies$", "y", word))
    if things is None:
        return None
    chosen = things[:number]
    text = " and ".join([", ".join(chosen[:-1]), chosen[-1]] if len(chosen) > 1 else chosen)
    return text[:1].upper() + text[1:] + "."


def _count_up(match: Match, question: Question) -> str:
    first, last = (int(match[1]), int(match[2])) if match[2] else (1, int(match[1]))
    return " ".join(map(str, range(first, min(last, first + _LONGEST) + 1)))


def _calculate(match: Match, question: Question) -> str:
    result = _OPERATIONS[match[2].lower()](float(match[1]), float(match[3]))
    return f"{match[1]} {match[2]} {match[3]} is {result:g}."


def _say(match: Match, question: Question) -> str:
    return match[1].strip().strip("\"'“”")


def _recall(match: Match, question: Question) -> str:
    told = [_CALLED.search(text) for text in question.before]
    names = [next(filter(None, found.groups())) for found in told if found]
    return f"Your name is {names[-1]}." if names else "You have not told me your name."


def _haikus(match: Match, question: Question) -> str:
    number = _COUNTED.get(match[1].lower()) or (int(match[1][:9]) if match[1].isdecimal() else 1)
    return "\n\n".join([_HAIKU] * min(number, _HAIKUS))


_RULES: tuple[tuple[str, Callable[[Match, Question], str | None]], ...] = (
    (r"^\s*(?:please )?(?:repeat|say|echo)(?: after me| exactly| this)*\s*[: ]\s*(.+)$", _say),
    (r"\bcapital (?:city )?of ([A-Za-z ]+)", _capital),
    (r"\b(?:name|list|tell me|give me) (\w+) (?:\w+ )?(\w+)", _name_some),
    (r"\bcount\b.{0,200}?\bfrom (\d{1,15}) to (\d{1,15})\b", _count_up),
    (r"\bcount\b.{0,200}?\bto (\d{1,15})()\b", _count_up),
    (r"(-?\d++(?:\.\d++)?) ?(\+|-|\*|×|x|/|plus|minus|times|divided by) ?(-?\d+(?:\.\d+)?)", _calculate),
    (r"\bwhat(?:'s| is) my name\b", _recall),
    (r"\bmy name is (\w+)", lambda match, question: f"Nice to meet you, {match[1]}."),
    (r"\b(\w+) haikus?\b", _haikus),
    (r"\bstory (?:about|of) (?:a |an |the )?(\w+)", lambda match, question: _STORY.format(match[1], match[1])),
    (r"\bpoem\b", lambda match, question: _POEM),
    (r"\bjoke about (\w+)", lambda match, question: f"Why do {match[1]} like streams? They never miss a word!"),
    (r"\bweather\b", lambda match, question: "I cannot look out of a window, but I hope that it is sunny."),
    (
        r"\b(?:who|what) are you\b",
        lambda match, question: "I am the model inside mdstream's emulator: rules, no weights.",
    ),
    (r"\bhow are you\b", lambda match, question: "I am well, thank you. How are you?"),
    (
        r"^\W*(?:hi|hello|hey|good (?:morning|day|evening))\b",
        lambda match, question: "Hello! How can I help you today?",
    ),
    (r"^\W*(?:thanks|thank you)\b", lambda match, question: "You are welcome!"),
)
_COMPILED = [(re.compile(pattern, re.IGNORECASE | re.DOTALL), say) for pattern, say in _RULES]

_SEEN = {
    "image_url": "an image",
    "image": "an image",
    "file": "a document",
    "document": "a document",
    "input_audio": "a sound",
    "audio_url": "a sound",
    "audio": "a sound",
    "video_url": "a video",
    "video": "a video",
}


def from_parts(question: Question) -> str | None:
    """Say which pictures, sounds and documents came."""
    if not question.parts:
        return None
    seen = [_SEEN.get(kind, f"a part of type {kind}") for kind in question.parts]
    return f"I see {' and '.join(seen)}. You said: {question.text.strip()[:_LIMIT]}"


def from_facts(question: Question) -> str | None:
    """The first rule that fits and has something to say."""
    for pattern, say in _COMPILED:
        match = pattern.search(question.text)
        text = say(match, question) if match else None
        if text is not None:
            return text
    return None


def echo(question: Question) -> str:
    """What was said."""
    text = question.text.strip()
    return f"You said: {text[:_LIMIT]}" if text else "I am listening."
