"""Rules for the text of the built-in model: retrieval from the prompt, a few facts and tricks, an echo."""

import re
from collections.abc import Callable

from mdstream_core.emulator.model._keywords import keywords
from mdstream_core.emulator.model._request import Json, ParsedRequest

# Reasoning

_MAX_SUMMARY = 120


def is_reasoning_requested(request: Json) -> bool:
    """Return whether the request enables reasoning."""
    template = request.get("chat_template_kwargs") or {}
    switch = template.get("enable_thinking", template.get("thinking"))
    if switch is not None:
        return bool(switch)
    effort = request.get("reasoning_effort") or (request.get("reasoning") or {}).get("effort")
    if effort is not None:
        return effort not in {"none", "off"}
    return "think" in str(request.get("model", ""))


def write_reasoning(request: ParsedRequest, calls: bool) -> str:
    """Write a chain of thought."""
    about = " ".join(request.text.split())[:_MAX_SUMMARY]
    then = "A tool can find that out, so I call it." if calls else "I know what to say."
    return f"The user says: {about}\n{then}"


# Refusals

REFUSAL = "I'm sorry, but I can't help with that."
_REFUSED = re.compile(r"^\W*please refuse\b", re.IGNORECASE)


def is_refused(request: ParsedRequest) -> bool:
    """Return whether the prompt asks for a refusal: it starts with `Please refuse`."""
    return _REFUSED.search(request.text) is not None


# Retrieval: the context is in the prompt, as RAG applications send it

_QUERY_PATTERN = re.compile(
    r"(?:^|\n)\s*(?:Query|Question|User question|Q)\s*:\s*(.+?)\s*(?:\n\s*(?:Answer|Helpful Answer|A)\b.*)?$", re.DOTALL
)
_CONTEXT_PATTERN = re.compile(r"\bcontext\b|\bpassages?\b|\bdocuments?\b|\bsources?\b|<context>|-{5,}", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?\n]*[^\s.!?][.!?]*(?=\s|$)")
_MIN_CONTEXT = 60  # characters of the shortest context


def quote_context(request: ParsedRequest) -> str | None:
    """Quote the sentence of the context that shares most words with the query."""
    context, query = _split_context(request)
    query_words = set(keywords(query))
    if not context or not query_words:
        return None
    sentences = [found.strip() for found in _SENTENCE.findall(context) if len(found.split()) > 2]
    best = max(sentences, key=lambda sentence: len(query_words & set(keywords(sentence))), default="")
    return best if query_words & set(keywords(best)) else None


def _split_context(request: ParsedRequest) -> tuple[str, str]:
    """Split the prompt into context and query."""
    match = _QUERY_PATTERN.search(request.text)
    if match and _CONTEXT_PATTERN.search(request.text[: match.start() + 1]):
        return request.text[: match.start()], match[1]
    if len(request.system) > _MIN_CONTEXT and _CONTEXT_PATTERN.search(request.system):
        return request.system, request.text
    return "", ""


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
_NUMBER_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
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
_NAME_PATTERN = re.compile(r"\bmy name is (\w+)|\bI am called (\w+)|\bcall me (\w+)", re.IGNORECASE)
_MAX_ECHO = 400  # characters of an echo
_MAX_COUNT = 20_000  # numbers that are counted
_MAX_HAIKUS = 100

Match = re.Match[str]


def _rule_capital(match: Match, request: ParsedRequest) -> str | None:
    city = _CAPITALS.get(match[1].strip().lower())
    return f"The capital of {match[1].strip()} is {city}." if city else None


def _rule_list(match: Match, request: ParsedRequest) -> str | None:
    number = _NUMBER_WORDS.get(match[1].lower()) or (int(match[1][:9]) if match[1].isdecimal() else 3)
    word = match[2].lower()
    items = _LISTS.get(word) or _LISTS.get(word.removesuffix("s")) or _LISTS.get(re.sub("ies$", "y", word))
    if items is None:
        return None
    chosen = items[:number]
    text = " and ".join([", ".join(chosen[:-1]), chosen[-1]] if len(chosen) > 1 else chosen)
    return text[:1].upper() + text[1:] + "."


def _rule_count(match: Match, request: ParsedRequest) -> str:
    first, last = (int(match[1]), int(match[2])) if match[2] else (1, int(match[1]))
    return " ".join(map(str, range(first, min(last, first + _MAX_COUNT) + 1)))


def _rule_calculate(match: Match, request: ParsedRequest) -> str:
    result = _OPERATIONS[match[2].lower()](float(match[1]), float(match[3]))
    return f"{match[1]} {match[2]} {match[3]} is {result:g}."


def _rule_repeat(match: Match, request: ParsedRequest) -> str:
    return match[1].strip().strip("\"'“”")


def _rule_recall(match: Match, request: ParsedRequest) -> str:
    introductions = [_NAME_PATTERN.search(text) for text in request.earlier_messages]
    names = [next(filter(None, found.groups())) for found in introductions if found]
    return f"Your name is {names[-1]}." if names else "You have not told me your name."


def _rule_haiku(match: Match, request: ParsedRequest) -> str:
    number = _NUMBER_WORDS.get(match[1].lower()) or (int(match[1][:9]) if match[1].isdecimal() else 1)
    return "\n\n".join([_HAIKU] * min(number, _MAX_HAIKUS))


_RULES: tuple[tuple[str, Callable[[Match, ParsedRequest], str | None]], ...] = (
    (r"^\s*(?:please )?(?:repeat|say|echo)(?: after me| exactly| this)*\s*[: ]\s*(.+)$", _rule_repeat),
    (r"\bcapital (?:city )?of ([A-Za-z ]+)", _rule_capital),
    (r"\b(?:name|list|tell me|give me) (\w+) (?:\w+ )?(\w+)", _rule_list),
    (r"\bcount\b.{0,200}?\bfrom (\d{1,15}) to (\d{1,15})\b", _rule_count),
    (r"\bcount\b.{0,200}?\bto (\d{1,15})()\b", _rule_count),
    (r"(-?\d++(?:\.\d++)?) ?(\+|-|\*|×|x|/|plus|minus|times|divided by) ?(-?\d+(?:\.\d+)?)", _rule_calculate),
    (r"\bwhat(?:'s| is) my name\b", _rule_recall),
    (r"\bmy name is (\w+)", lambda match, request: f"Nice to meet you, {match[1]}."),
    (r"\b(\w+) haikus?\b", _rule_haiku),
    (r"\bstory (?:about|of) (?:a |an |the )?(\w+)", lambda match, request: _STORY.format(match[1], match[1])),
    (r"\bpoem\b", lambda match, request: _POEM),
    (r"\bjoke about (\w+)", lambda match, request: f"Why do {match[1]} like streams? They never miss a word!"),
    (r"\bweather\b", lambda match, request: "I cannot look out of a window, but I hope that it is sunny."),
    (
        r"\b(?:who|what) are you\b",
        lambda match, request: "I am the model inside mdstream's emulator: rules, no weights.",
    ),
    (r"\bhow are you\b", lambda match, request: "I am well, thank you. How are you?"),
    (
        r"^\W*(?:hi|hello|hey|good (?:morning|day|evening))\b",
        lambda match, request: "Hello! How can I help you today?",
    ),
    (r"^\W*(?:thanks|thank you)\b", lambda match, request: "You are welcome!"),
)
_COMPILED = [(re.compile(pattern, re.IGNORECASE | re.DOTALL), rule) for pattern, rule in _RULES]

_ATTACHMENT_NAMES = {
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


def describe_attachments(request: ParsedRequest) -> str | None:
    """List the images, sounds and documents of the prompt."""
    if not request.attachment_types:
        return None
    names = [_ATTACHMENT_NAMES.get(kind, f"a part of type {kind}") for kind in request.attachment_types]
    return f"I see {' and '.join(names)}. You said: {request.text.strip()[:_MAX_ECHO]}"


def apply_rules(request: ParsedRequest) -> str | None:
    """Return the text of the first rule that matches and returns one."""
    for pattern, rule in _COMPILED:
        match = pattern.search(request.text)
        text = rule(match, request) if match else None
        if text is not None:
            return text
    return None


def echo(request: ParsedRequest) -> str:
    """Repeat the prompt."""
    text = request.text.strip()
    return f"You said: {text[:_MAX_ECHO]}" if text else "I am listening."
