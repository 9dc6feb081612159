"""Things to say where nothing was given: jokes, titles, dates."""

from mdstream_core.emulator.model._keywords import keywords

# Names of fields that a model writes rather than finds.
CANNED_TEXTS = {
    "setup": "Why did the {topic} sit on the computer?",
    "punchline": "To keep an eye on the mouse!",
    "joke": "Why did the {topic} sit on the computer? To keep an eye on the mouse!",
    "summary": "A short account of {topic}.",
    "description": "Something about {topic}.",
    "explanation": "It follows from what was said about {topic}.",
    "reason": "Because the question is about {topic}.",
    "reasoning": "The question is about {topic}, so that is what the answer is about.",
    "story": "Once upon a time there was a {topic} who wanted to stream.",
    "poem": "O {topic}, flowing word by word.",
    "headline": "News about {topic}",
    "answer": "{said}",
    "response": "{said}",
    "reply": "{said}",
    "output": "{said}",
    "result": "{said}",
    "thought": "I should look at {topic}.",
}
_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T12:00:00Z",
    "time": "12:00:00",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}
_COMMON = {"joke", "json", "result", "key", "keys", "nothing", "other", "include", "punchline", "setup"}


def find_topic(text: str) -> str:
    """What a sentence is about: its last word that carries meaning."""
    found = [word for word in keywords(text.partition(".")[0]) if word not in _COMMON and not word.isdigit()]
    return found[-1] if found else "stream"


def is_generated_field(name: str) -> bool:
    """Whether a model makes up what stands in a field of this name, rather than finding it."""
    return name.lower().rpartition("_")[2] in CANNED_TEXTS


def write_text_for(name: str, text: str, said: str, form: str | None) -> str:
    """A text for a field of this name."""
    if form in _FORMATS:
        return _FORMATS[form]
    known = CANNED_TEXTS.get(name.lower().rpartition("_")[2])
    if known is not None:
        return known.format(topic=find_topic(text), said=said or text.strip() or "Yes.")
    spoken = name.replace("_", " ").strip()
    return f"{find_topic(text)} {spoken}".strip() if spoken else find_topic(text)
