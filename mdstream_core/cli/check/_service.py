"""Checks of the service: one short question, and what its answer shows."""

from collections.abc import Mapping
from dataclasses import replace

from mdstream_core.auth import BearerSigner, UnsignedSigner
from mdstream_core.cli._target import Target, list_models, model_name
from mdstream_core.cli.check._embeddings import is_unknown_model, probe_embeddings, rejects_chat
from mdstream_core.cli.check._finding import (
    CheckContext,
    Finding,
    ProbeResult,
    Status,
    error_facts,
    failure_from_error,
    split_hint,
)
from mdstream_core.cli.check._network import MAX_CLOCK_SKEW
from mdstream_core.cli.check._probe import EMPTY_RESPONSE, send_probe
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
_SLOW_SECONDS = 5.0

_OCI_KEY_HINT = (
    "the public half of the key must stand under the user's API keys in the console, with this fingerprint; user, "
    "tenancy and region of the profile must be its own"
)

#: What to do about a credential that is not accepted, by platform.
_KEY_HINTS: Mapping[str, str] = {
    "oci-model-deployment": _OCI_KEY_HINT,
    "oci-genai": _OCI_KEY_HINT,
    "sagemaker": "check the access key, its secret and its session token (aws sts get-caller-identity judges them)",
    "modelarts": "check the credential, and that the address is the one for this way to sign",
}
_PERMISSION_HINTS: Mapping[str, str] = {
    "oci-model-deployment": "a policy has to grant DATA_SCIENCE_MODEL_DEPLOYMENT_PREDICT",
    "oci-genai": "a policy has to allow `use generative-ai-family` in this compartment",
    "sagemaker": "a policy must allow sagemaker:InvokeEndpoint on this endpoint",
    "modelarts": "authorize the key, app or user for this service",
}


def check_authentication(check_context: CheckContext) -> Finding:
    """Whether the service lets the signature in."""
    try:
        name = model_name(check_context.target)
    except MDStreamError as error:
        return _judge_probe(check_context, ProbeResult(EMPTY_RESPONSE, error))
    probe = send_probe(check_context.target, name)
    if isinstance(probe.error, InvalidRequest) and probe.error.status == 409:
        probe = replace(probe, without_streaming=send_probe(check_context.target, name, stream=False))
    vectors = _embedding_fallback(check_context.target, name, probe)
    learned = {"asked": probe, "model": name, "vectors": vectors}
    return replace(_judge_probe(check_context, vectors or probe), updates=learned)


def _embedding_fallback(target: Target, name: str, probe: ProbeResult) -> ProbeResult | None:
    """How a word was embedded, where the endpoint refuses to chat and embeds it; else `None`."""
    if not rejects_chat(probe.without_streaming.error if probe.without_streaming else probe.error, name):
        return None
    vectors = probe_embeddings(target, name)
    return vectors if vectors.error is None and vectors.response.embeddings else None


def _judge_probe(check_context: CheckContext, probe: ProbeResult) -> Finding:
    unsigned = check_context.credentials is not None and isinstance(check_context.credentials.auth, UnsignedSigner)
    error = probe.error
    match error:
        case AuthenticationError():
            return Finding(
                Status.FAIL, *_authentication_failure(check_context, error, unsigned=unsigned), error_facts(error)
            )
        case PermissionDenied():
            text = f"the credential is good, but this is not allowed: {split_hint(str(error))[0]}"
            return Finding(
                Status.FAIL, text, _PERMISSION_HINTS[check_context.endpoint_info.platform], error_facts(error)
            )
        case ConnectionFailed():
            return failure_from_error(error, "the way there broke: ask again")
        case NotFound(code="NotAuthorizedOrNotFound"):
            return Finding(Status.WARN, "not refused; but OCI does not tell a missing right from a missing endpoint")
        case ServerError() | RateLimited() | MalformedStream():
            return Finding(Status.WARN, f"it did not come to that: {split_hint(str(error))[0]}", "", error_facts(error))
    return Finding(Status.OK, "nobody asked who we are" if unsigned else "the service lets it in")


def _authentication_failure(
    check_context: CheckContext, error: AuthenticationError, *, unsigned: bool
) -> tuple[str, str]:
    """What is wrong with the credential, and the cure."""
    said, hint = split_hint(str(error), _KEY_HINTS[check_context.endpoint_info.platform])
    if unsigned:
        return f"the request was not signed: {said}", "say as whom: --auth-type, --profile or --api-key"
    bearer = check_context.credentials is not None and isinstance(check_context.credentials.auth, BearerSigner)
    if abs(check_context.clock_skew) >= MAX_CLOCK_SKEW[check_context.endpoint_info.platform] and not bearer:
        return f"the signature is refused: {said}", "most likely it is the clock: see that line"
    if "valid region" in said:
        return f"the credential is refused: {said}", "--region must be the endpoint's"
    if bearer:
        hint = "check the key: it is sent as a bearer key, as it is"
    elif "clock" in hint or "auth=" in hint:  # the clock has a line of its own
        hint = _KEY_HINTS[check_context.endpoint_info.platform]
    return f"the credential is refused: {said}", hint


def check_model(check_context: CheckContext) -> Finding:
    """Whether endpoint and model are there."""
    probe = check_context.embedding_probe or check_context.probe_result
    error = probe.without_streaming.error if probe.without_streaming else probe.error
    if isinstance(error, NotFound | InvalidRequest | StreamError) and is_unknown_model(error):
        name = (
            f"the model {check_context.model!r} is not there" if check_context.model else "the model's name is missing"
        )
        return Finding(
            Status.FAIL, f"{name}: {split_hint(str(error))[0]}", _other_models(check_context), error_facts(error)
        )
    if isinstance(error, NotFound):
        return failure_from_error(error, "check the id or name in ENDPOINT, and the region")
    if error is not None and not probe.chunk_count and not isinstance(error, StreamError):
        return Finding(Status.UNAVAILABLE, "nothing was answered")
    name = probe.response.metadata.model or check_context.model or "the endpoint's only one"
    return Finding(Status.OK, name, "", {"name": name})


def _other_models(check_context: CheckContext) -> str:
    try:
        names = [
            name for one in list_models(check_context.target) if (name := str(one.get("id"))) != check_context.model
        ]
    except MDStreamError:
        names = []
    if names:
        return f"say --model with one of: {', '.join(names[:10])}"
    return "say --model with a name that is served there; the console or the container's log has it"


def check_streaming(check_context: CheckContext) -> Finding:
    """Whether the answer comes piece by piece, and ends as it should."""
    probe = check_context.probe_result
    error = probe.error
    if check_context.embedding_probe:
        return _embeddings_only(probe.without_streaming.error if probe.without_streaming else error)
    if probe.without_streaming:
        return _no_stream_failure(probe.without_streaming)
    if isinstance(error, StreamError):
        text = f"the answer broke after {len(probe.response.text)} characters: {error}"
        return Finding(
            Status.FAIL, *split_hint(text, "ask again; the endpoint's own log says more"), error_facts(error)
        )
    if error is not None:
        return failure_from_error(error, "the endpoint's own log says more")
    ended = probe.response.finish_reason or "no word"
    facts = {"pieces": probe.chunk_count, "finish_reason": ended, "content_type": probe.content_type}
    if probe.content_type.startswith("application/json") and check_context.endpoint_info.platform != "sagemaker":
        hint = "the server ignores `stream`: check how it was started"
        return Finding(Status.WARN, "the answer comes whole", hint, facts)
    notes = f"; {'; '.join(probe.warnings)}" if probe.warnings else ""
    return Finding(Status.OK, f"{probe.chunk_count} pieces, ended with {ended!r}{notes}", "", facts)


def _embeddings_only(error: MDStreamError | None) -> Finding:
    text = "the endpoint serves embeddings only: there is nothing to stream"
    if isinstance(error, MalformedStream):  # it answered the chat with vectors
        return Finding(Status.UNAVAILABLE, text)
    return Finding(
        Status.UNAVAILABLE,
        f"{text}. A chat is refused: {split_hint(str(error))[0]}",
        "",
        error_facts(error) if error else {},
    )


def _no_stream_failure(whole: ProbeResult) -> Finding:
    if whole.error is None:
        text = "the deployment does not stream: asked for a whole answer, it gives one"
        hint = "the container ignores `stream`: use one that streams, or ask for whole answers (disable_streaming=True)"
        return Finding(Status.FAIL, text, hint, {"whole": True})
    text, hint = split_hint(str(whole.error), "ask in another way; the deployment's predict log says more")
    return Finding(Status.FAIL, f"the container refuses the question: {text}", hint, error_facts(whole.error))


def check_dialect(check_context: CheckContext) -> Finding:
    """What is spoken."""
    probe = check_context.embedding_probe or check_context.probe_result
    if probe.error is not None and probe.error.code == "DialectMismatch":
        return failure_from_error(probe.error, "say --dialect auto")
    if probe.error is not None and not probe.response.text:
        return Finding(Status.UNAVAILABLE, "nothing was heard")
    return Finding(Status.OK, probe.dialect, "", {"name": probe.dialect})


def check_first_token(check_context: CheckContext) -> Finding:
    """How long it takes until the first word."""
    probe = check_context.probe_result
    if check_context.embedding_probe:
        return Finding(Status.UNAVAILABLE, "embeddings come whole")
    if probe.time_to_first_token is None:
        return Finding(Status.WARN, "no word came: the answer is empty")
    facts = {"seconds": round(probe.time_to_first_token, 3), "whole": round(probe.seconds, 3)}
    text = f"{probe.time_to_first_token:.2f} s, the whole answer {probe.seconds:.2f} s"
    if probe.time_to_first_token > _SLOW_SECONDS:
        return Finding(Status.WARN, text, "a short question should begin sooner: a cold start, or a busy server", facts)
    return Finding(Status.OK, text, "", facts)
