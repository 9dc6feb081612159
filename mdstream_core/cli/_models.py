"""`mdstream models`: the models that a server lists at `/v1/models`."""

from typing import Any

from mdstream_core._terminal import Terminal, json_text
from mdstream_core.cli._options import Options
from mdstream_core.cli._target import Target, list_models

#: Fields in which servers report the context window, in tokens.
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_input_tokens")


def run(options: Options) -> int:
    """Run `mdstream models`."""
    options.model = options.model or "any"  # the list needs no model, but the address on oci-genai does
    target = Target.from_options(options)
    models = list_models(target)
    terminal = Terminal()
    if options.json:
        document = {"endpoint": options.endpoint, "platform": target.endpoint_info.platform, "models": models}
        terminal.write(options.redact(json_text(document)) + "\n")
        return 0
    width = max((len(str(model.get("id"))) for model in models), default=0)
    for model in models:
        name, details = options.redact(model.get("id")), options.redact(_describe_model(model))
        terminal.write(f"{name:<{width}}  {details}".rstrip() + "\n")
    if not models:
        terminal.write("The server lists no models.\n")
    return 0


def _describe_model(model: dict[str, Any]) -> str:
    window = next((model[name] for name in _CONTEXT_FIELDS if isinstance(model.get(name), int)), None)
    facts = (f"{window:,} tokens" if window else "", f"by {model['owned_by']}" if model.get("owned_by") else "")
    return " · ".join(fact for fact in facts if fact)
