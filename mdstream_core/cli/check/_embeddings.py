"""Endpoints that embed texts and do not chat: how they refuse a chat, and how they are tested."""

import re

from mdstream_core.cli._target import Target
from mdstream_core.cli.check._finding import ProbeResult, split_hint
from mdstream_core.cli.check._probe import send_probe
from mdstream_core.errors import ConnectionFailed, InvalidRequest, MDStreamError, NotFound, RateLimited

#: How a refusal says that it is the model's name that is wrong.
_NO_MODEL = re.compile(
    r"model\b.{0,80}(not exist|not found|unknown|not supported|not served)|invalid model|ModelArts\.81009"
    r"|Entity with key",
    re.IGNORECASE | re.DOTALL,
)

#: How servers of embedding models refuse a chat: vLLM, Ollama and llama.cpp; TEI and LMI behind SageMaker's
#: `/invocations`; and what our own dialect says of vectors where an answer in words was expected.
_NO_CHAT = re.compile(
    r"not support.{0,40}(chat|completion|generat)|embedding model|vectors of numbers"
    r"|missing field `inputs`|inputs\W{0,2} (cannot be empty|is required)|no inputs",
    re.IGNORECASE | re.DOTALL,
)


def rejects_chat(error: MDStreamError | None, model: str) -> bool:
    """Whether a chat was refused as by a server that knows none: in its words, or for want of the route."""
    if error is None or isinstance(error, ConnectionFailed | RateLimited):
        return False
    if error.status == 501 or any(_NO_CHAT.search(text) for text in _error_texts(error)):
        return True
    if "embed" in model.lower():
        return isinstance(error, InvalidRequest | NotFound)
    return isinstance(error, NotFound) and error.code != "NotAuthorizedOrNotFound" and not is_unknown_model(error)


def is_unknown_model(error: MDStreamError) -> bool:
    """Whether it is the model's name that is wrong."""
    return any(_NO_MODEL.search(text) for text in _error_texts(error))


def _error_texts(error: MDStreamError) -> tuple[str, str]:
    """What the service wrote: the message without our hint, and the body."""
    return split_hint(str(error))[0], str(error.raw or "")


def probe_embeddings(target: Target, model: str) -> ProbeResult:
    """Embed a word, and note how it went."""
    dialect = target.embedding_dialect
    return send_probe(target, model, stream=False, dialect=dialect, **{dialect.input_field: ["OK"]})
