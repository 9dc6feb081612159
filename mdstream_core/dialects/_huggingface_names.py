"""Translate Hugging Face parameter names to OpenAI's: servers of the OpenAI API ignore them silently.

| name | sent as |
|---|---|
| `parameters: {…}` | its fields, beside `messages` |
| `max_new_tokens`, `max_gen_len`, `max_tokens_to_sample` | `max_tokens` |
| `min_new_tokens` | `min_tokens`, which vLLM and SGLang accept |
| `stop_sequences` | `stop` |
| `num_return_sequences` | `n` |
| `do_sample: false` | `temperature: 0`; `true` is the default |
| `return_full_text: false`, `details` | left out: responses have no prompt, and have a usage |
| `grammar: {"type": "json", …}` | `response_format` |
| `typical_p`, `watermark`, `num_beams` and others in `_WITHOUT_COUNTERPART` | unchanged, with a warning |
| `repetition_penalty`, `top_k`, `min_p`, `early_stopping` … | unchanged: vLLM and SGLang accept them |
"""

import warnings
from collections.abc import Mapping
from typing import Any

_COUNTERPARTS = {
    "max_gen_len": "max_tokens",
    "max_new_tokens": "max_tokens",
    "max_tokens_to_sample": "max_tokens",
    "min_new_tokens": "min_tokens",
    "num_return_sequences": "n",
    "stop_sequences": "stop",
}

#: Parameters that mean the same as a counterpart.
_SYNONYMS = {"max_tokens": ("max_tokens", "max_completion_tokens")}

#: Values that equal the servers' default.
_DEFAULTS = {
    "decoder_input_details": (False,),
    "details": (False, True),
    "do_sample": (True,),
    "num_beams": (1,),
    "return_full_text": (False,),
    "watermark": (False,),
}

_WITHOUT_COUNTERPART = frozenset(
    "adapter_id decoder_input_details encoder_no_repeat_ngram_size eos_token_id max_length max_time"
    " min_length no_repeat_ngram_size num_beams pad_token_id penalty_alpha return_full_text top_n_tokens truncate"
    " typical_p watermark".split()
)


def flatten_parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the fields of `parameters` into the other fields, which take precedence.

    >>> flatten_parameters({"messages": [], "parameters": {"top_k": 3}})
    {'top_k': 3, 'messages': []}
    """
    nested = request.get("parameters")
    if nested is None or not isinstance(nested, Mapping):
        return dict(request)
    return {**nested, **{name: value for name, value in request.items() if name != "parameters" and value is not None}}


def to_openai_names(request: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the parameters of a request to OpenAI's names; warn of those that servers of this API ignore.

    >>> to_openai_names({"messages": [], "max_new_tokens": 50, "do_sample": False, "return_full_text": False})
    {'messages': [], 'max_tokens': 50, 'temperature': 0}
    """
    params = flatten_parameters(request)
    if "inputs" in params or _NAMES.isdisjoint(params):
        return params
    ignored: list[str] = []
    for name, value in list(params.items()):
        if name in _NAMES and (value is None or _is_default(name, value)):
            del params[name]
        elif name in _COUNTERPARTS:
            del params[name]
            ignored += _rename(params, name, value)
        elif name in _WITHOUT_COUNTERPART:
            ignored.append(name)
    if params.get("do_sample") is False:
        del params["do_sample"]
        params["temperature"] = 0
    if isinstance(params.get("grammar"), Mapping):  # a string is a llama.cpp grammar
        ignored += _translate_grammar(params)
    if ignored:
        _warn(ignored)
    return params


_NAMES = frozenset({*_COUNTERPARTS, *_DEFAULTS, *_WITHOUT_COUNTERPART, "grammar"})


def _is_default(name: str, value: Any) -> bool:
    return any(type(value) is type(default) and value == default for default in _DEFAULTS.get(name, ()))


def _rename(params: dict[str, Any], name: str, value: Any) -> list[str]:
    """Set the counterpart of a parameter. Return the name if the counterpart has another value, which is kept.

    The lower of two token limits is kept.
    """
    counterpart = _COUNTERPARTS[name]
    field = next(
        (synonym for synonym in _SYNONYMS.get(counterpart, ()) if params.get(synonym) is not None), counterpart
    )
    current = params.get(field)
    is_limit = isinstance(current, int) and isinstance(value, int) and counterpart == "max_tokens"
    if current is None or (is_limit and value <= current):
        params[field] = value
        return []
    return [] if current == value else [name]


def _translate_grammar(params: dict[str, Any]) -> list[str]:
    match params["grammar"]:
        case {"type": "json", "value": Mapping() as schema} if not params.get("response_format"):
            params["response_format"] = {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}
            del params["grammar"]
            return []
        case _:
            return ["grammar"]


def _warn(ignored: list[str]) -> None:
    warnings.warn(
        f"{', '.join(sorted(ignored))}: servers of the OpenAI API ignore these, or another parameter sets the same "
        "(hint: set dialect='tgi' or dialect='lmi' if the container accepts `inputs` and `parameters`)",
        RuntimeWarning,
        stacklevel=2,
    )
