"""Checks of optional features: tools, embeddings and the list of models. An endpoint without them is healthy."""

from typing import Any

from mdstream_core.cli._platform_names import OCI_GENAI
from mdstream_core.cli._target import list_models
from mdstream_core.cli.check._embeddings import probe_embeddings
from mdstream_core.cli.check._finding import CheckContext, Finding, Status, error_facts, text_and_hint
from mdstream_core.cli.check._probe import send_probe
from mdstream_core.errors import MDStreamError, ServerError

_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Return the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_MESSAGES = [{"role": "user", "content": "What is the weather in Paris? Use the tool get_weather."}]
_PARSER_HINT = "start the server with a tool parser (vLLM: --enable-auto-tool-choice --tool-call-parser NAME)"


def check_tools(check_context: CheckContext) -> Finding:
    """Check that the model calls a tool."""
    if check_context.embedding_probe:
        return Finding(Status.SKIP, "the endpoint serves embeddings only")
    probe = send_probe(check_context.target, check_context.model, messages=_MESSAGES, tools=[_TOOL], max_tokens=512)
    if probe.error is not None:
        text, hint = text_and_hint(str(probe.error))
        hint = _PARSER_HINT if "tool" in text else hint
        is_failure = probe.error.retryable or isinstance(probe.error, ServerError)
        status, text = (Status.FAIL, text) if is_failure else (Status.SKIP, f"not supported: {text}")
        return Finding(status, text, hint, error_facts(probe.error))
    if probe.response.tool_calls:
        call = probe.response.tool_calls[0]
        return Finding(Status.OK, f"the model called {call.name}({call.arguments})", "", {"called": call.name})
    if "get_weather" in probe.response.text:
        text = "the model writes tool calls as text, and the server does not parse them"
        return Finding(
            Status.WARN, text, f"{_PARSER_HINT}, or set tool_call_parser= in the model class", {"called": None}
        )
    return Finding(
        Status.WARN,
        "the model did not call the tool in the request",
        "use a model that supports tools",
        {"called": None},
    )


def check_embeddings(check_context: CheckContext) -> Finding:
    """Check that the endpoint returns embeddings."""
    if check_context.endpoint_info.platform == OCI_GENAI and "embed" not in check_context.model:
        return Finding(Status.SKIP, f"{check_context.model} is not an embedding model")
    dialect = check_context.target.embedding_dialect
    probe = check_context.embedding_probe or probe_embeddings(check_context.target, check_context.model)
    if probe.error is not None:
        return Finding(
            Status.SKIP, f"not supported: {text_and_hint(str(probe.error))[0]}", "", error_facts(probe.error)
        )
    size = len(probe.response.embeddings[0].vector) if probe.response.embeddings else 0
    facts = {"size": size, "dialect": dialect.name, "only": check_context.embedding_probe is not None}
    only = "; the endpoint serves embeddings only" if check_context.embedding_probe else ""
    return Finding(Status.OK, f"{size} dimensions, dialect {dialect.name}{only}", "", facts)


def check_models(check_context: CheckContext) -> Finding:
    """List the models that the server serves."""
    try:
        names = [str(entry.get("id")) for entry in list_models(check_context.target)]
    except MDStreamError as error:
        return Finding(Status.SKIP, f"not supported: {text_and_hint(str(error))[0]}", "", error_facts(error))
    return Finding(Status.OK, ", ".join(names) or "the server lists no models", "", {"names": names})
