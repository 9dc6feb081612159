"""Hints for errors that the format of the request caused: which dialect or class fits the server."""

import re
from dataclasses import dataclass

from mdstream_core.errors import ContextOverflow, InvalidRequest, MDStreamError, ServerError, extend_error

#: How servers report that a model has no chat template: TGI, transformers (LMI, SGLang), vLLM.
NO_CHAT_TEMPLATE = re.compile(
    r"template error: template not found"
    r"|chat[ _]?template\b.{0,60}\b(not (set|found|defined|provided|available)|missing|no longer allowed)"
    r"|\b(no|without a|missing|provide a) chat[ _]?template",
    re.IGNORECASE | re.DOTALL,
)

#: How servers report that they expect `inputs` and got something else (serde, pydantic, LMI's input parser).
REQUIRES_INPUTS = re.compile(
    r"(missing|required|expected|must (have|contain)|no)\b.{0,40}\binputs\b"
    r"|\binputs\b.{0,60}\b(missing|required|not found|not provided|field required)",
    re.IGNORECASE | re.DOTALL,
)

#: How JumpStart's Llama 2 reports that `inputs` is a string and not a list of dialogs: errors of Python or pydantic.
REQUIRES_DIALOGS = re.compile(
    r"string indices must be integers|list indices must be integers|'str' object has no attribute '(get|keys|items)'"
    r"|\binputs?\b.{0,40}\b(list of (dialogs?|dialogues?|messages|lists)|valid list)",
    re.IGNORECASE | re.DOTALL,
)

_CHAT = frozenset({"auto", "openai-chat"})
_OPENAI = frozenset({"openai-chat", "openai-completions"})
_NATIVE = frozenset({"auto", "lmi", "tgi"})


@dataclass(frozen=True, slots=True)
class _Hint:
    """A hint for requests in certain dialects whose error matches a pattern."""

    dialects: frozenset[str]
    pattern: re.Pattern[str]
    text: str


_HINTS = (
    _Hint(
        _CHAT,
        NO_CHAT_TEMPLATE,
        "send completions, because the model has no chat template: set is_chat_model=False in LlamaIndex, use a "
        "completion class in LangChain (OCIModelDeploymentLLM, SagemakerEndpoint, ModelArtsLLM), or set dialect='tgi' "
        "to send `inputs`",
    ),
    _Hint(
        _NATIVE,
        REQUIRES_DIALOGS,
        "set dialect='jumpstart-llama': JumpStart's Llama 2 takes dialogs",
    ),
    _Hint(
        _OPENAI,
        REQUIRES_INPUTS,
        "set dialect='auto', 'tgi', 'lmi' or 'jumpstart-llama': the server requires `inputs`",
    ),
    _Hint(
        frozenset({"openai-responses"}),
        re.compile(r"cannot find suitable handler", re.IGNORECASE),
        "set dialect='openai-chat': vLLM serves no Responses API at SageMaker's /invocations",
    ),
    _Hint(
        frozenset({"openai-embeddings", "tei-embeddings"}),
        re.compile(r"\btext_inputs\b"),
        "set dialect='jumpstart-embeddings': JumpStart's models take `text_inputs`",
    ),
    _Hint(
        frozenset({"openai-embeddings"}),
        REQUIRES_INPUTS,
        "set dialect='tei-embeddings' or 'auto-embeddings': the server requires `inputs`",
    ),
)


def add_hint(error: MDStreamError, dialect: str) -> MDStreamError:
    """Append a hint to the error of a rejected request, if its message matches a known pattern.

    >>> error = InvalidRequest("422: Template error: template not found")
    >>> "is_chat_model=False" in str(add_hint(error, "openai-chat"))
    True
    """
    if not isinstance(error, InvalidRequest | ServerError) or isinstance(error, ContextOverflow):
        return error
    text = f"{error} {error.raw or ''}"
    hints = (hint.text for hint in _HINTS if dialect in hint.dialects and hint.pattern.search(text))
    if (hint := next(hints, None)) is not None:
        extend_error(error, hint=hint)
    return error
