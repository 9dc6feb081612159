"""`mdstream models`: what the server tells at /v1/models."""

from typing import Any

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.cli._asking import Target, served
from mdstream_core.cli._parser import Options

#: Under which names servers tell how many tokens question and answer may have.
_WINDOWS = ("max_model_len", "context_length", "context_window", "max_input_tokens")


def run(options: Options) -> int:
    """A line for each model."""
    options.model = options.model or "any"  # which is asked for nothing here, but has to be said to some platforms
    target = Target.of(options)
    models = served(target)
    terminal = Terminal()
    if options.json:
        found = {"endpoint": options.endpoint, "platform": target.place.platform, "models": models}
        terminal.write(options.veil(json_text(found)) + "\n")
        return 0
    wide = max((len(str(one.get("id"))) for one in models), default=0)
    for one in models:
        terminal.write(f"{options.veil(one.get('id')):<{wide}}  {options.veil(_about(one))}".rstrip() + "\n")
    if not models:
        terminal.write("the server names no model\n")
    return 0


def _about(model: dict[str, Any]) -> str:
    window = next((model[name] for name in _WINDOWS if isinstance(model.get(name), int)), None)
    facts = (f"{window:,} tokens" if window else "", f"by {model['owned_by']}" if model.get("owned_by") else "")
    return " · ".join(fact for fact in facts if fact)
