"""Answers that have to be JSON: by `response_format`, by vLLM's parameters, or by a schema inside the prompt."""

import json
import re
from typing import Any

from mdstream_core.emulator.model._request import Json, ParsedRequest, embedded_objects
from mdstream_core.emulator.model._schema_filling import SchemaFiller

_KEYS = re.compile(r"['\"`](\w+)['\"`]")
_JSON_REQUESTED = re.compile(r"\bJSON\b")


def requested_schema(parsed_request: ParsedRequest) -> Any:
    """The schema that the answer must follow; `None` where words will do."""
    request = parsed_request.request
    form = request.get("response_format") or {}
    vllm = request.get("structured_outputs") or {}
    named = (form.get("json_schema") or {}).get("schema") or form.get("value")
    schema = named or vllm.get("json") or request.get("guided_json") or request.get("json_schema")
    if isinstance(schema, str):
        schema = json.loads(schema)
    if schema is None and (form.get("type") == "json_object" or vllm.get("json_object")):
        schema = (
            _schema_in_prompt(parsed_request)
            or _keys(parsed_request.text)
            or {"properties": {"answer": {"type": "string"}}}
        )
    return schema


def fill_requested_schema(request: ParsedRequest, written_text: str) -> str | None:
    """The JSON text, `None` where none is wanted. `written_text` is what would have been said in words."""
    choices = (request.request.get("structured_outputs") or {}).get("choice") or request.request.get("guided_choice")
    if choices:
        return str(SchemaFiller(request.text, {}).value("choice", {"enum": choices}))
    schema = requested_schema(request) or _is_json_requested(request)
    if schema is None:
        return None
    text = "\n".join([request.text, *request.results])
    filler = SchemaFiller(_without_objects(text), schema, written_text)
    return json.dumps(filler.value("", schema), ensure_ascii=False)


def _schema_in_prompt(question: ParsedRequest) -> Json | None:
    """A JSON Schema that stands in the prompt, as output parsers write it there."""
    found = (one for text in (question.system, question.text) for one in embedded_objects(text))
    return next((one for one in found if isinstance(one.get("properties"), dict)), None)


def _is_json_requested(question: ParsedRequest) -> Json | None:
    if question.request.get("tools") or not _JSON_REQUESTED.search(question.system + question.text):
        return None
    schema = _schema_in_prompt(question)
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
