"""Checks of the service: authentication, model and streaming, by one short request."""

from collections.abc import Mapping
from dataclasses import replace

from mdstream_core.auth import BearerSigner, UnsignedSigner
from mdstream_core.cli._platform_names import MODELARTS, OCI_GENAI, OCI_MODEL_DEPLOYMENT, SAGEMAKER
from mdstream_core.cli._target import Target, list_models, model_name
from mdstream_core.cli.check._embeddings import is_unknown_model, probe_embeddings, rejects_chat
from mdstream_core.cli.check._finding import (
    CheckContext,
    Finding,
    ProbeResult,
    Status,
    error_facts,
    failure_from_error,
    text_and_hint,
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

#: Time to the first token from which a warning is given, in seconds.
_SLOW_SECONDS = 5.0

_OCI_KEY_HINT = (
    "check in the console that the user's API keys contain the key's public half with this fingerprint, and that the "
    "user, tenancy and region of the profile belong to it"
)

#: Hints for a rejected credential, by platform.
_KEY_HINTS: Mapping[str, str] = {
    OCI_MODEL_DEPLOYMENT: _OCI_KEY_HINT,
    OCI_GENAI: _OCI_KEY_HINT,
    SAGEMAKER: "check the access key, its secret and its session token with `aws sts get-caller-identity`",
    MODELARTS: "check the credential, and that the URL in ENDPOINT supports this authentication type",
}
#: Hints for a missing permission, by platform.
_PERMISSION_HINTS: Mapping[str, str] = {
    OCI_MODEL_DEPLOYMENT: "add a policy that grants DATA_SCIENCE_MODEL_DEPLOYMENT_PREDICT",
    OCI_GENAI: "add a policy that allows `use generative-ai-family` in this compartment",
    SAGEMAKER: "add a policy that allows sagemaker:InvokeEndpoint on this endpoint",
    MODELARTS: "authorize the key, app or user for this service",
}


def check_authentication(check_context: CheckContext) -> Finding:
    """Send the first request and check that the service accepts the credential."""
    try:
        name = model_name(check_context.target)
    except MDStreamError as error:
        return _authentication_finding(check_context, ProbeResult(EMPTY_RESPONSE, error))
    probe = send_probe(check_context.target, name)
    if isinstance(probe.error, InvalidRequest) and probe.error.status == 409:
        probe = replace(probe, without_streaming=send_probe(check_context.target, name, stream=False))
    embedding_probe = _probe_embeddings_if_no_chat(check_context.target, name, probe)
    updates = {"probe": probe, "model": name, "embedding_probe": embedding_probe}
    return replace(_authentication_finding(check_context, embedding_probe or probe), updates=updates)


def _probe_embeddings_if_no_chat(target: Target, name: str, probe: ProbeResult) -> ProbeResult | None:
    """Return the result of an embedding request if the endpoint rejects chats and serves embeddings; else `None`.

    With `--dialect`, chats are what the user wants to check: the endpoint may reject the dialect only.
    """
    if target.options.dialect or not rejects_chat(
        probe.without_streaming.error if probe.without_streaming else probe.error, name
    ):
        return None
    embedding_probe = probe_embeddings(target, name)
    return embedding_probe if embedding_probe.error is None and embedding_probe.response.embeddings else None


def _authentication_finding(check_context: CheckContext, probe: ProbeResult) -> Finding:
    unsigned = check_context.credentials is not None and isinstance(check_context.credentials.auth, UnsignedSigner)
    error = probe.error
    match error:
        case AuthenticationError():
            return Finding(
                Status.FAIL, *_authentication_failure(check_context, error, unsigned=unsigned), error_facts(error)
            )
        case PermissionDenied():
            text = f"the request is not allowed: {text_and_hint(str(error))[0]}"
            text = text if unsigned else f"the credential is valid, but {text}"
            return Finding(
                Status.FAIL, text, _PERMISSION_HINTS[check_context.endpoint_info.platform], error_facts(error)
            )
        case ConnectionFailed():
            return failure_from_error(error, "run the check again")
        case NotFound(code="NotAuthorizedOrNotFound"):
            text = "not rejected, but OCI reports a missing permission and a missing endpoint alike"
            return Finding(Status.WARN, text)
        case ServerError() | RateLimited() | MalformedStream():
            return Finding(Status.WARN, f"not verified: {text_and_hint(str(error))[0]}", "", error_facts(error))
    return Finding(
        Status.OK, "the service requires no credential" if unsigned else "the service accepted the credential"
    )


def _authentication_failure(
    check_context: CheckContext, error: AuthenticationError, *, unsigned: bool
) -> tuple[str, str]:
    """Return why the credential was rejected, and the hint."""
    message, hint = text_and_hint(str(error), _KEY_HINTS[check_context.endpoint_info.platform])
    if unsigned:
        return f"the request was not signed: {message}", "set --auth-type, --profile or --api-key"
    bearer = check_context.credentials is not None and isinstance(check_context.credentials.auth, BearerSigner)
    if abs(check_context.clock_skew) >= MAX_CLOCK_SKEW[check_context.endpoint_info.platform] and not bearer:
        return f"the signature was rejected: {message}", "set this machine's clock first; see the check of the clock"
    if "valid region" in message:
        return f"the credential was rejected: {message}", "set --region to the endpoint's region"
    if bearer:
        hint = "check the key: it is sent unchanged as a bearer key"
    elif "clock" in hint or "auth=" in hint:  # the clock has a check of its own
        hint = _KEY_HINTS[check_context.endpoint_info.platform]
    return f"the credential was rejected: {message}", hint


def check_model(check_context: CheckContext) -> Finding:
    """Check that the endpoint and the model exist."""
    probe = check_context.embedding_probe or check_context.probe_result
    error = probe.without_streaming.error if probe.without_streaming else probe.error
    if isinstance(error, NotFound | InvalidRequest | StreamError) and is_unknown_model(error):
        problem = (
            f"model {check_context.model!r} does not exist" if check_context.model else "the model name is missing"
        )
        text = f"{problem}: {text_and_hint(str(error))[0]}"
        return Finding(Status.FAIL, text, _served_models_hint(check_context), error_facts(error))
    if isinstance(error, NotFound):
        hint = "check the OCID or name in ENDPOINT, and the region"
        dialect = check_context.options.dialect
        return failure_from_error(error, f"{hint}; or omit --dialect {dialect}" if dialect else hint)
    if error is not None and not probe.chunk_count and not isinstance(error, StreamError):
        return Finding(Status.SKIP, "the service returned no response")
    name = probe.response.metadata.model or check_context.model or "the endpoint's only model"
    return Finding(Status.OK, name, "", {"name": name})


def _served_models_hint(check_context: CheckContext) -> str:
    try:
        names = [
            name for entry in list_models(check_context.target) if (name := str(entry.get("id"))) != check_context.model
        ]
    except MDStreamError:
        names = []
    if names:
        return f"set --model to one of: {', '.join(names[:10])}"
    return "set --model to a served model; see the console or the log of the model server"


def check_streaming(check_context: CheckContext) -> Finding:
    """Check that the response is streamed, and that the stream is complete."""
    probe = check_context.probe_result
    error = probe.error
    if check_context.embedding_probe:
        return _embeddings_only(probe.without_streaming.error if probe.without_streaming else error)
    if probe.without_streaming:
        return _no_stream_failure(probe.without_streaming)
    if isinstance(error, StreamError):
        text = f"the stream failed after {len(probe.response.text)} characters: {error}"
        return Finding(
            Status.FAIL, *text_and_hint(text, "run the check again; see the log of the endpoint"), error_facts(error)
        )
    if error is not None:
        return failure_from_error(error, "see the log of the endpoint")
    reason = probe.response.finish_reason
    facts = {"pieces": probe.chunk_count, "finish_reason": reason, "content_type": probe.content_type}
    if probe.content_type.startswith("application/json") and check_context.endpoint_info.platform != SAGEMAKER:
        hint = "check the options of the model server: it ignores `stream`"
        return Finding(Status.WARN, "the response is not streamed", hint, facts)
    notes = f"; {'; '.join(probe.warnings)}" if probe.warnings else ""
    return Finding(Status.OK, f"{probe.chunk_count} chunks, finish reason {reason or 'missing'}{notes}", "", facts)


def _embeddings_only(error: MDStreamError | None) -> Finding:
    text = "the endpoint serves embeddings only"
    if isinstance(error, MalformedStream):  # it returned vectors for the chat
        return Finding(Status.SKIP, text)
    return Finding(
        Status.SKIP,
        f"{text}; chat requests fail: {text_and_hint(str(error))[0]}",
        "",
        error_facts(error) if error else {},
    )


def _no_stream_failure(complete: ProbeResult) -> Finding:
    if complete.error is None:
        text = "the deployment does not stream: the same request succeeds without streaming"
        hint = "the model server ignores `stream`: use one that streams, or set disable_streaming=True"
        return Finding(Status.FAIL, text, hint, {"whole": True})
    text, hint = text_and_hint(str(complete.error), "change the request; see the predict log of the deployment")
    return Finding(Status.FAIL, f"the model server rejected the request: {text}", hint, error_facts(complete.error))


def check_dialect(check_context: CheckContext) -> Finding:
    """Check that the dialect fits the response."""
    probe = check_context.embedding_probe or check_context.probe_result
    if probe.error is not None and probe.error.code == "DialectMismatch":
        text, hint = text_and_hint(str(probe.error))
        return Finding(
            Status.FAIL, text, "; ".join(filter(None, ("set --dialect auto", hint))), error_facts(probe.error)
        )
    if probe.error is not None and not probe.response.text:
        return Finding(Status.SKIP, "the service returned no response")
    return Finding(Status.OK, probe.dialect, "", {"name": probe.dialect})


def check_first_token(check_context: CheckContext) -> Finding:
    """Measure the time to the first token."""
    probe = check_context.probe_result
    if check_context.embedding_probe:
        return Finding(Status.SKIP, "the endpoint serves embeddings only")
    if probe.time_to_first_token is None:
        return Finding(Status.WARN, "the response is empty")
    facts = {"seconds": round(probe.time_to_first_token, 3), "whole": round(probe.seconds, 3)}
    text = f"{probe.time_to_first_token:.2f} s; complete response after {probe.seconds:.2f} s"
    if probe.time_to_first_token > _SLOW_SECONDS:
        return Finding(
            Status.WARN, text, "check for a cold start or a busy server: a short response should start sooner", facts
        )
    return Finding(Status.OK, text, "", facts)
