"""Checks of abilities that not every endpoint has. One that is missing is no illness."""

from typing import Any

from mdstream_core.cli._asking import served
from mdstream_core.cli.doctor._asked import ask
from mdstream_core.cli.doctor._finding import Finding, Known, State, facts_of, parted
from mdstream_core.cli.doctor._vectors import ask_vectors
from mdstream_core.errors import MDStreamError, ServerError

_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_ASKS = [{"role": "user", "content": "What is the weather in Paris? Use the tool get_weather."}]
_PARSER = "start the server with a tool parser (vLLM: --enable-auto-tool-choice --tool-call-parser NAME)"


def tools(known: Known) -> Finding:
    """Whether the model calls a tool."""
    if known.vectors:
        return Finding(State.NONE, "an embedding model calls none")
    asked = ask(known.target, known.model, messages=_ASKS, tools=[_TOOL], max_tokens=512)
    if asked.error is not None:
        text, cure = parted(str(asked.error), _PARSER if "tool" in str(asked.error) else "")
        state = State.WRONG if asked.error.retryable or isinstance(asked.error, ServerError) else State.NONE
        return Finding(state, f"none: {text}", cure, facts_of(asked.error))
    if asked.reply.tool_calls:
        call = asked.reply.tool_calls[0]
        return Finding(State.OK, f"it called {call.name}({call.arguments})", "", {"called": call.name})
    if "get_weather" in asked.reply.text:
        text = "the model writes its calls as text, and the server does not read them"
        return Finding(State.NOTE, text, f"{_PARSER}, or give the model object tool_call_parser=", {"called": None})
    return Finding(State.NOTE, "offered one, the model did not call it", "not every model does", {"called": None})


def embeddings(known: Known) -> Finding:
    """Whether it makes vectors."""
    if known.place.platform == "oci-genai" and "embed" not in known.model:
        return Finding(State.NONE, "a chat model has none", "check one that has: --model cohere.embed-v4.0")
    dialect = known.target.vectors
    asked = known.vectors or ask_vectors(known.target, known.model)
    if asked.error is not None:
        return Finding(State.NONE, parted(str(asked.error))[0], "", facts_of(asked.error))
    size = len(asked.reply.embeddings[0].vector) if asked.reply.embeddings else 0
    facts = {"size": size, "dialect": dialect.name, "only": known.vectors is not None}
    only = "; the endpoint serves embeddings only" if known.vectors else ""
    return Finding(State.OK, f"vectors of {size} numbers, in {dialect.name}{only}", "", facts)


def models(known: Known) -> Finding:
    """Which models the server names."""
    try:
        names = [str(one.get("id")) for one in served(known.target)]
    except MDStreamError as error:
        return Finding(State.NONE, parted(str(error))[0], "", facts_of(error))
    return Finding(State.OK, ", ".join(names) or "it names none", "", {"names": names})
