"""Endpoints that serve embeddings and no chat: how they reject a chat, and how they are probed."""

import re

from mdstream_core.cli._target import Target
from mdstream_core.cli.check._finding import ProbeResult, text_and_hint
from mdstream_core.cli.check._probe import send_probe
from mdstream_core.errors import ConnectionFailed, InvalidRequest, MDStreamError, NotFound, RateLimited

#: How servers report an unknown model.
_UNKNOWN_MODEL = re.compile(
    r"model\b.{0,80}(not exist|not found|unknown|not supported|not served)|invalid model|ModelArts\.81009"
    r"|Entity with key",
    re.IGNORECASE | re.DOTALL,
)

#: How servers of embedding models reject a chat: vLLM, Ollama and llama.cpp; TEI and LMI behind SageMaker's
#: `/invocations`; and the error of our own dialects for vectors in place of text.
_NO_CHAT = re.compile(
    r"not support.{0,40}(chat|completion|generat)|embedding model|vectors of numbers"
    r"|missing field `inputs`|inputs\W{0,2} (cannot be empty|is required)|no inputs",
    re.IGNORECASE | re.DOTALL,
)


def rejects_chat(error: MDStreamError | None, model: str) -> bool:
    """Return whether the error is that of a server without chat, by its message or because the route is missing."""
    if error is None or isinstance(error, ConnectionFailed | RateLimited):
        return False
    if error.status == 501 or any(_NO_CHAT.search(text) for text in _error_texts(error)):
        return True
    if "embed" in model.lower():
        return isinstance(error, InvalidRequest | NotFound)
    return isinstance(error, NotFound) and error.code != "NotAuthorizedOrNotFound" and not is_unknown_model(error)


def is_unknown_model(error: MDStreamError) -> bool:
    """Return whether the error reports an unknown model."""
    return any(_UNKNOWN_MODEL.search(text) for text in _error_texts(error))


def _error_texts(error: MDStreamError) -> tuple[str, str]:
    """Return what the service wrote: the message without our hint, and the body."""
    return text_and_hint(str(error))[0], str(error.raw or "")


def probe_embeddings(target: Target, model: str) -> ProbeResult:
    """Request the embedding of one word."""
    dialect = target.embedding_dialect
    return send_probe(target, model, stream=False, dialect=dialect, **{dialect.input_field: ["OK"]})
