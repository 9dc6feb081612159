"""Canned texts for fields that the prompt has no value for: jokes, titles, dates."""

from mdstream_core.emulator.model._keywords import keywords

# Last word of a field's name to a template for fields that a model writes rather than extracts.
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
    "answer": "{output}",
    "response": "{output}",
    "reply": "{output}",
    "output": "{output}",
    "result": "{output}",
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
    """Find the topic of a sentence: its last word that carries meaning."""
    topics = [word for word in keywords(text.partition(".")[0]) if word not in _COMMON and not word.isdigit()]
    return topics[-1] if topics else "stream"


def is_generated_field(name: str) -> bool:
    """Return whether a model writes the value of a field with this name, rather than extracts it."""
    return name.lower().rpartition("_")[2] in CANNED_TEXTS


def write_text_for(name: str, text: str, output: str, format: str | None) -> str:
    """Write a text for a field with this name and JSON Schema format."""
    if format in _FORMATS:
        return _FORMATS[format]
    template = CANNED_TEXTS.get(name.lower().rpartition("_")[2])
    if template is not None:
        return template.format(topic=find_topic(text), output=output or text.strip() or "Yes.")
    label = name.replace("_", " ").strip()
    return f"{find_topic(text)} {label}".strip() if label else find_topic(text)
