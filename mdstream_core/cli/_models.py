"""`mdstream models`: what the server tells at /v1/models."""

from typing import Any

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.cli._parser import Options
from mdstream_core.cli._target import Target, list_models

#: Under which names servers tell how many tokens question and answer may have.
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_input_tokens")


def run(options: Options) -> int:
    """A line for each model."""
    options.model = options.model or "any"  # which is asked for nothing here, but has to be said to some platforms
    target = Target.from_options(options)
    models = list_models(target)
    terminal = Terminal()
    if options.json:
        found = {"endpoint": options.endpoint, "platform": target.endpoint_info.platform, "models": models}
        terminal.write(options.redact(json_text(found)) + "\n")
        return 0
    wide = max((len(str(one.get("id"))) for one in models), default=0)
    for one in models:
        terminal.write(
            f"{options.redact(one.get('id')):<{wide}}  {options.redact(_describe_model(one))}".rstrip() + "\n"
        )
    if not models:
        terminal.write("the server names no model\n")
    return 0


def _describe_model(model: dict[str, Any]) -> str:
    window = next((model[name] for name in _CONTEXT_FIELDS if isinstance(model.get(name), int)), None)
    facts = (f"{window:,} tokens" if window else "", f"by {model['owned_by']}" if model.get("owned_by") else "")
    return " · ".join(fact for fact in facts if fact)
