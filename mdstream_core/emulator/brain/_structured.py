"""Answers that have to be JSON: by `response_format`, by vLLM's parameters, or by a schema inside the prompt."""

import json
import re
from typing import Any

from mdstream_core.emulator.brain._fill import Filler
from mdstream_core.emulator.brain._question import Json, Question, embedded_objects

_KEYS = re.compile(r"['\"`](\w+)['\"`]")
_ASKS = re.compile(r"\bJSON\b")


def demanded(question: Question) -> Any:
    """The schema that the answer must follow; `None` where words will do."""
    request = question.request
    form = request.get("response_format") or {}
    vllm = request.get("structured_outputs") or {}
    named = (form.get("json_schema") or {}).get("schema") or form.get("value")
    schema = named or vllm.get("json") or request.get("guided_json") or request.get("json_schema")
    if isinstance(schema, str):
        schema = json.loads(schema)
    if schema is None and (form.get("type") == "json_object" or vllm.get("json_object")):
        schema = _described(question) or _keys(question.text) or {"properties": {"answer": {"type": "string"}}}
    return schema


def from_schema(question: Question, said: str) -> str | None:
    """The JSON text, `None` where none is wanted. `said` is what would have been said in words."""
    choices = (question.request.get("structured_outputs") or {}).get("choice") or question.request.get("guided_choice")
    if choices:
        return str(Filler(question.text, {}).value("choice", {"enum": choices}))
    schema = demanded(question) or _asked_in_words(question)
    if schema is None:
        return None
    text = "\n".join([question.text, *question.results])
    filler = Filler(_without_objects(text), schema, said)
    return json.dumps(filler.value("", schema), ensure_ascii=False)


def _described(question: Question) -> Json | None:
    """A JSON Schema that stands in the prompt, as output parsers write it there."""
    found = (one for text in (question.system, question.text) for one in embedded_objects(text))
    return next((one for one in found if isinstance(one.get("properties"), dict)), None)


def _asked_in_words(question: Question) -> Json | None:
    if question.request.get("tools") or not _ASKS.search(question.system + question.text):
        return None
    schema = _described(question)
    # An output parser shows an example schema first and its own last.
    found = [one for one in embedded_objects(question.text) if isinstance(one.get("properties"), dict)]
    return found[-1] if found else schema


def _keys(text: str) -> Json | None:
    names = dict.fromkeys(_KEYS.findall(text))
    return (
        {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": list(names)}
        if names
        else None
    )


def _without_objects(text: str) -> str:
    """The text without the JSON in it: a schema is no evidence."""
    for one in embedded_objects(text):
        if "properties" in one:
            return text.partition("{")[0]
    return text
