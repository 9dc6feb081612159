"""Checks of abilities that not every endpoint has. One that is missing is no illness."""

from typing import Any

from mdstream_core.cli._target import list_models
from mdstream_core.cli.check._embeddings import probe_embeddings
from mdstream_core.cli.check._finding import CheckContext, Finding, Status, error_facts, split_hint
from mdstream_core.cli.check._probe import send_probe
from mdstream_core.errors import MDStreamError, ServerError

_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_MESSAGES = [{"role": "user", "content": "What is the weather in Paris? Use the tool get_weather."}]
_PARSER_HINT = "start the server with a tool parser (vLLM: --enable-auto-tool-choice --tool-call-parser NAME)"


def check_tools(check_context: CheckContext) -> Finding:
    """Whether the model calls a tool."""
    if check_context.embedding_probe:
        return Finding(Status.UNAVAILABLE, "an embedding model calls none")
    probe = send_probe(check_context.target, check_context.model, messages=_MESSAGES, tools=[_TOOL], max_tokens=512)
    if probe.error is not None:
        text, hint = split_hint(str(probe.error), _PARSER_HINT if "tool" in str(probe.error) else "")
        state = Status.FAIL if probe.error.retryable or isinstance(probe.error, ServerError) else Status.UNAVAILABLE
        return Finding(state, f"none: {text}", hint, error_facts(probe.error))
    if probe.response.tool_calls:
        call = probe.response.tool_calls[0]
        return Finding(Status.OK, f"it called {call.name}({call.arguments})", "", {"called": call.name})
    if "get_weather" in probe.response.text:
        text = "the model writes its calls as text, and the server does not read them"
        return Finding(
            Status.WARN, text, f"{_PARSER_HINT}, or give the model object tool_call_parser=", {"called": None}
        )
    return Finding(Status.WARN, "offered one, the model did not call it", "not every model does", {"called": None})


def check_embeddings(check_context: CheckContext) -> Finding:
    """Whether it makes vectors."""
    if check_context.endpoint_info.platform == "oci-genai" and "embed" not in check_context.model:
        return Finding(Status.UNAVAILABLE, "a chat model has none", "check one that has: --model cohere.embed-v4.0")
    dialect = check_context.target.embedding_dialect
    probe = check_context.embedding_probe or probe_embeddings(check_context.target, check_context.model)
    if probe.error is not None:
        return Finding(Status.UNAVAILABLE, split_hint(str(probe.error))[0], "", error_facts(probe.error))
    size = len(probe.response.embeddings[0].vector) if probe.response.embeddings else 0
    facts = {"size": size, "dialect": dialect.name, "only": check_context.embedding_probe is not None}
    only = "; the endpoint serves embeddings only" if check_context.embedding_probe else ""
    return Finding(Status.OK, f"vectors of {size} numbers, in {dialect.name}{only}", "", facts)


def check_models(check_context: CheckContext) -> Finding:
    """Which models the server names."""
    try:
        names = [str(one.get("id")) for one in list_models(check_context.target)]
    except MDStreamError as error:
        return Finding(Status.UNAVAILABLE, split_hint(str(error))[0], "", error_facts(error))
    return Finding(Status.OK, ", ".join(names) or "it names none", "", {"names": names})
