"""Checks of the service: one short question, and what its answer shows."""

from collections.abc import Mapping
from dataclasses import replace

from mdstream_core.auth import Bearer, Unsigned
from mdstream_core.cli._asking import Target, model_name, served
from mdstream_core.cli.doctor._asked import NOTHING, ask
from mdstream_core.cli.doctor._finding import Asked, Finding, Known, State, facts_of, parted, wrong
from mdstream_core.cli.doctor._network import ALLOWED
from mdstream_core.cli.doctor._vectors import ask_vectors, lacks_model, refuses_chat
from mdstream_core.errors import (
    AuthenticationError,
    ConnectionFailed,
    InvalidRequest,
    MalformedStream,
    MDStreamError,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    StreamError,
)

#: A first token after so many seconds is worth a word.
_SLOW = 5.0

_OCI_KEY = (
    "the public half of the key must stand under the user's API keys in the console, with this fingerprint; user, "
    "tenancy and region of the profile must be its own"
)

#: What to do about a credential that is not accepted, by platform.
_KEYS: Mapping[str, str] = {
    "oci-model-deployment": _OCI_KEY,
    "oci-genai": _OCI_KEY,
    "sagemaker": "check the access key, its secret and its session token (aws sts get-caller-identity judges them)",
    "modelarts": "check the credential, and that the address is the one for this way to sign",
}
_RIGHTS: Mapping[str, str] = {
    "oci-model-deployment": "a policy has to grant DATA_SCIENCE_MODEL_DEPLOYMENT_PREDICT",
    "oci-genai": "a policy has to allow `use generative-ai-family` in this compartment",
    "sagemaker": "a policy must allow sagemaker:InvokeEndpoint on this endpoint",
    "modelarts": "authorize the key, app or user for this service",
}


def accepted(known: Known) -> Finding:
    """Whether the service lets the signature in."""
    try:
        name = model_name(known.target)
    except MDStreamError as error:
        return _judged(known, Asked(NOTHING, error))
    asked = ask(known.target, name)
    if isinstance(asked.error, InvalidRequest) and asked.error.status == 409:
        asked = replace(asked, whole=ask(known.target, name, stream=False))
    vectors = _vectors_instead(known.target, name, asked)
    learned = {"asked": asked, "model": name, "vectors": vectors}
    return replace(_judged(known, vectors or asked), learned=learned)


def _vectors_instead(target: Target, name: str, asked: Asked) -> Asked | None:
    """How a word was embedded, where the endpoint refuses to chat and embeds it; else `None`."""
    if not refuses_chat(asked.whole.error if asked.whole else asked.error, name):
        return None
    vectors = ask_vectors(target, name)
    return vectors if vectors.error is None and vectors.reply.embeddings else None


def _judged(known: Known, asked: Asked) -> Finding:
    unsigned = known.signing is not None and isinstance(known.signing.auth, Unsigned)
    error = asked.error
    match error:
        case AuthenticationError():
            return Finding(State.WRONG, *_refused(known, error, unsigned=unsigned), facts_of(error))
        case PermissionDenied():
            text = f"the credential is good, but this is not allowed: {parted(str(error))[0]}"
            return Finding(State.WRONG, text, _RIGHTS[known.place.platform], facts_of(error))
        case ConnectionFailed():
            return wrong(error, "the way there broke: ask again")
        case NotFound(code="NotAuthorizedOrNotFound"):
            return Finding(State.NOTE, "not refused; but OCI does not tell a missing right from a missing endpoint")
        case ServerError() | RateLimited() | MalformedStream():
            return Finding(State.NOTE, f"it did not come to that: {parted(str(error))[0]}", "", facts_of(error))
    return Finding(State.OK, "nobody asked who we are" if unsigned else "the service lets it in")


def _refused(known: Known, error: AuthenticationError, *, unsigned: bool) -> tuple[str, str]:
    """What is wrong with the credential, and the cure."""
    said, cure = parted(str(error), _KEYS[known.place.platform])
    if unsigned:
        return f"the request was not signed: {said}", "say as whom: --auth-type, --profile or --api-key"
    bearer = known.signing is not None and isinstance(known.signing.auth, Bearer)
    if abs(known.skew) >= ALLOWED[known.place.platform] and not bearer:
        return f"the signature is refused: {said}", "most likely it is the clock: see that line"
    if "valid region" in said:
        return f"the credential is refused: {said}", "--region must be the endpoint's"
    if bearer:
        cure = "check the key: it is sent as a bearer key, as it is"
    elif "clock" in cure or "auth=" in cure:  # the clock has a line of its own
        cure = _KEYS[known.place.platform]
    return f"the credential is refused: {said}", cure


def model(known: Known) -> Finding:
    """Whether endpoint and model are there."""
    asked = known.vectors or known.answer
    error = asked.whole.error if asked.whole else asked.error
    if isinstance(error, NotFound | InvalidRequest | StreamError) and lacks_model(error):
        name = f"the model {known.model!r} is not there" if known.model else "the model's name is missing"
        return Finding(State.WRONG, f"{name}: {parted(str(error))[0]}", _others(known), facts_of(error))
    if isinstance(error, NotFound):
        return wrong(error, "check the id or name in ENDPOINT, and the region")
    if error is not None and not asked.pieces and not isinstance(error, StreamError):
        return Finding(State.NONE, "nothing was answered")
    name = asked.reply.served.model or known.model or "the endpoint's only one"
    return Finding(State.OK, name, "", {"name": name})


def _others(known: Known) -> str:
    try:
        names = [name for one in served(known.target) if (name := str(one.get("id"))) != known.model]
    except MDStreamError:
        names = []
    if names:
        return f"say --model with one of: {', '.join(names[:10])}"
    return "say --model with a name that is served there; the console or the container's log has it"


def stream(known: Known) -> Finding:
    """Whether the answer comes piece by piece, and ends as it should."""
    asked = known.answer
    error = asked.error
    if known.vectors:
        return _embeddings_only(asked.whole.error if asked.whole else error)
    if asked.whole:
        return _not_streaming(asked.whole)
    if isinstance(error, StreamError):
        text = f"the answer broke after {len(asked.reply.text)} characters: {error}"
        return Finding(State.WRONG, *parted(text, "ask again; the endpoint's own log says more"), facts_of(error))
    if error is not None:
        return wrong(error, "the endpoint's own log says more")
    ended = asked.reply.finish_reason or "no word"
    facts = {"pieces": asked.pieces, "finish_reason": ended, "content_type": asked.content_type}
    if asked.content_type.startswith("application/json") and known.place.platform != "sagemaker":
        cure = "the server ignores `stream`: check how it was started"
        return Finding(State.NOTE, "the answer comes whole", cure, facts)
    notes = f"; {'; '.join(asked.warned)}" if asked.warned else ""
    return Finding(State.OK, f"{asked.pieces} pieces, ended with {ended!r}{notes}", "", facts)


def _embeddings_only(error: MDStreamError | None) -> Finding:
    text = "the endpoint serves embeddings only: there is nothing to stream"
    if isinstance(error, MalformedStream):  # it answered the chat with vectors
        return Finding(State.NONE, text)
    return Finding(
        State.NONE, f"{text}. A chat is refused: {parted(str(error))[0]}", "", facts_of(error) if error else {}
    )


def _not_streaming(whole: Asked) -> Finding:
    if whole.error is None:
        text = "the deployment does not stream: asked for a whole answer, it gives one"
        cure = "the container ignores `stream`: use one that streams, or ask for whole answers (disable_streaming=True)"
        return Finding(State.WRONG, text, cure, {"whole": True})
    text, cure = parted(str(whole.error), "ask in another way; the deployment's predict log says more")
    return Finding(State.WRONG, f"the container refuses the question: {text}", cure, facts_of(whole.error))


def dialect(known: Known) -> Finding:
    """What is spoken."""
    asked = known.vectors or known.answer
    if asked.error is not None and asked.error.code == "DialectMismatch":
        return wrong(asked.error, "say --dialect auto")
    if asked.error is not None and not asked.reply.text:
        return Finding(State.NONE, "nothing was heard")
    return Finding(State.OK, asked.spoken, "", {"name": asked.spoken})


def first_token(known: Known) -> Finding:
    """How long it takes until the first word."""
    asked = known.answer
    if known.vectors:
        return Finding(State.NONE, "embeddings come whole")
    if asked.first is None:
        return Finding(State.NOTE, "no word came: the answer is empty")
    facts = {"seconds": round(asked.first, 3), "whole": round(asked.seconds, 3)}
    text = f"{asked.first:.2f} s, the whole answer {asked.seconds:.2f} s"
    if asked.first > _SLOW:
        return Finding(State.NOTE, text, "a short question should begin sooner: a cold start, or a busy server", facts)
    return Finding(State.OK, text, "", facts)
