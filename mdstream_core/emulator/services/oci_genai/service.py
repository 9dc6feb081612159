"""OCI Generative AI: `/20231130/actions/…`, and OpenAI's paths under `/openai/v1` and `/20231130/actions/v1`.

There is one compartment, `COMPARTMENT`, every on-demand model whose name starts with a family's prefix, and every
dedicated endpoint; with an upstream, models of any name. Llama's streams end with `[DONE]`, the others with the end of
the body, or as `ending` selects: `eof`, `done`, `hang` (the connection stays open, as Cohere's was observed to do).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._bounds import run_heavy
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._request_target import (
    RateLimitScope,
    RequestTarget,
    read_json_object,
)
from mdstream_core.emulator._response_plan import (
    ChunkOrPause,
    Pause,
    ResponsePlan,
    collect_chunks,
    json_plan,
    stream_plan,
)
from mdstream_core.emulator.faults.error_responses import oci_error_response
from mdstream_core.emulator.model_server import ModelServer, ModelServerUnreachable
from mdstream_core.emulator.services.oci_genai import embeddings, responses
from mdstream_core.emulator.services.oci_genai.guardrails import GuardrailRules, build_guardrails
from mdstream_core.emulator.services.oci_genai.model_rules import RANGES, check_model_rules, check_ranges
from mdstream_core.emulator.services.oci_genai.requests import (
    PARSERS,
    Json,
    RequestRejected,
    malformed_request,
    parse_generate_text,
)

COMPARTMENT = "ocid1.compartment.oc1..emulated"
CONVERSATION_STORE = "ocid1.generativeaiconversationstore.oc1..emulated"

_ACTIONS = "/20231130/actions/"
_GUARDRAILS = "applyGuardrails"  # the only action without a model
_STATEFUL = {"responses", "conversations"}  # paths that need a conversation store
_OPENAI = ("/openai/v1/", "/20231130/actions/v1/")
_NOT_FOUND_MESSAGE = "Authorization failed or requested resource not found."
_TOO_MANY_MESSAGE = (
    "You have issued too many requests to the Oracle Cloud Infrastructure APIs in too short of an amount of time."
)
_ENDINGS: dict[str, tuple[ChunkOrPause, ...]] = {"eof": (), "done": (_sse.DONE,), "hang": (Pause(),)}
_DEFAULT_ENDINGS = {"meta.": "done"}
_DEDICATED_PREFIX = "ocid1.generativeaiendpoint."
_MODEL_PREFIXES = (*responses.FAMILIES, "ocid1.generativeaimodel.", _DEDICATED_PREFIX)
#: Exceptions of a request with an unexpected shape: a list where an object belongs, and similar.
_SHAPE_ERRORS = (AttributeError, LookupError, TypeError, ValueError, RecursionError)


class GenerativeAIService:
    """The service in one region.

    Args:
        model_server: The model server behind the service.
        find_problem: Checks the credentials; returns what is wrong with them, or `None`.
        ending: How streams end: `eof`, `done`, `hang`; `""` is the default of each family.
        responses_server: The server of `/v1/responses`, if it is another one.
        any_model: Accept models whose name has no family's prefix.
        guardrails: What `applyGuardrails` finds.

    Raises:
        ValueError: The ending does not exist.
    """

    def __init__(
        self,
        model_server: ModelServer,
        find_problem: Callable[[RecordedRequest], str | None] = lambda http_request: None,
        ending: str = "",
        responses_server: ModelServer | None = None,
        *,
        any_model: bool = False,
        guardrails: GuardrailRules | None = None,
    ) -> None:
        if ending and ending not in _ENDINGS:
            raise ValueError(f"oci_genai_ending={ending!r} is unknown (hint: use one of {', '.join(_ENDINGS)})")
        self._model_server = model_server
        self._responses_server = responses_server or model_server
        self._authenticate = find_problem
        self._ending = ending
        self._any_model = any_model
        self._guardrails = guardrails or GuardrailRules()
        self._actions = {
            "chat": self._chat,
            "generateText": self._generate_text,
            "embedText": self._embed,
            "rerankText": self._rerank,
        }

    def matches(self, path: str) -> bool:
        """Return whether a path belongs to the service."""
        return path.startswith(("/20231130/", "/openai/"))

    def find_target(self, http_request: RecordedRequest) -> RequestTarget:
        """Return the model or the dedicated endpoint that the request counts towards."""
        match read_json_object(http_request):
            case {"servingMode": {"modelId": str(model)} | {"endpointId": str(model)}} | {"model": str(model)}:
                return RequestTarget("oci-genai", model)
        return RequestTarget("oci-genai", "")

    def build_throttling_response(self, target: RequestTarget, scope: RateLimitScope) -> ResponsePlan:
        """Build the error response for too many requests."""
        return oci_error_response(429, "TooManyRequests", _TOO_MANY_MESSAGE)

    async def handle_request(self, http_request: RecordedRequest) -> ResponsePlan:
        """Build the response."""
        problem = self._authenticate(http_request)
        if problem is not None:
            return oci_error_response(401, "NotAuthenticated", problem)
        try:
            return await self._dispatch(http_request)
        except RequestRejected as rejection:
            return oci_error_response(rejection.status, rejection.code, rejection.message)
        except ModelServerUnreachable as error:
            return oci_error_response(503, "ServiceUnavailable", str(error))
        except _SHAPE_ERRORS as error:
            return oci_error_response(400, "CannotParseRequest", f"Unable to process the request: {error}")

    async def _dispatch(self, http_request: RecordedRequest) -> ResponsePlan:
        for base in _OPENAI:
            if http_request.path.startswith(base):
                return await self._openai(http_request, http_request.path.removeprefix(base))
        name = http_request.path.removeprefix(_ACTIONS)
        action = self._actions.get(name)
        if action is None and name != _GUARDRAILS:
            raise RequestRejected(404, "NotAuthorizedOrNotFound", _NOT_FOUND_MESSAGE)
        if http_request.method != "POST":
            raise RequestRejected(405, "MethodNotAllowed", f"Method {http_request.method} is not allowed")
        body = _parse_body(http_request)
        if not body.get("compartmentId"):
            raise RequestRejected(400, "MissingParameter", "compartmentId may not be null")
        if body["compartmentId"] != COMPARTMENT:
            raise RequestRejected(404, "NotAuthorizedOrNotFound", _NOT_FOUND_MESSAGE)
        if action is None:
            rules, size = self._guardrails, len(http_request.body)
            return await run_heavy(size, lambda: json_plan(200, build_guardrails(body, rules)))
        return await action(body, self._check_model(_requested_model(body.get("servingMode"))))

    async def _openai(self, http_request: RecordedRequest, path: str) -> ResponsePlan:
        """Handle OpenAI's own requests; the compartment is in a header, unless an API key implies it."""
        headers = http_request.headers
        compartment = headers.get("opc-compartment-id") or headers.get("compartmentid")
        has_api_key = headers.get("authorization", "").lower().startswith("bearer ")
        if compartment is None and not has_api_key:
            raise RequestRejected(400, "MissingParameter", "opc-compartment-id header is missing")
        if compartment not in {None, COMPARTMENT}:
            raise RequestRejected(404, "NotAuthorizedOrNotFound", _NOT_FOUND_MESSAGE)
        is_stateful = path.partition("/")[0] in _STATEFUL
        if is_stateful:
            _check_conversation_store(http_request)
        server = self._responses_server if is_stateful else self._model_server
        if http_request.method == "POST" and path != "conversations":
            body = _parse_body(http_request)
            if "store" in body and path == "chat/completions":
                raise malformed_request("store is not supported")
            model = self._check_model(str(body.get("model") or ""))
            if (server_name := await self._server_model_name(model)) != model:
                return await server.handle_request("POST", f"/v1/{path}", _json.dumps({**body, "model": server_name}))
        return await server.handle_request(http_request.method, f"/v1/{path}", http_request.body)

    def _check_model(self, model: str) -> str:
        if not (self._any_model or model.startswith(_MODEL_PREFIXES)):
            raise _not_found(model)
        return model

    async def _server_model_name(self, model: str) -> str:
        """Return the model server's name for a model; only the service's own names are translated."""
        return await self._model_server.resolve_model(model) if model.startswith(_MODEL_PREFIXES) else model

    async def _complete(self, path: str, params: Json, model: str) -> Json:
        """Return the model's response, without a stream, in OpenAI's format."""
        body = _json.dumps({**params, "model": await self._server_model_name(model)})
        plan = await collect_chunks(await self._model_server.handle_request("POST", path, body))
        document = _parse_document(b"".join(plan.body_chunks))
        if plan.status >= 400:
            error = document.get("error") or document
            code = "NotAuthorizedOrNotFound" if plan.status == 404 else str(plan.status)
            raise RequestRejected(
                plan.status, code, str((error.get("message") if isinstance(error, dict) else None) or error)
            )
        if not document.get("choices"):
            raise RequestRejected(500, "InternalServerError", "The model server's response has no choices")
        return document

    async def _chat(self, body: Json, model: str) -> ResponsePlan:
        request = body.get("chatRequest")
        api_format = request.get("apiFormat") if isinstance(request, dict) else None
        if not isinstance(request, dict) or api_format not in PARSERS:
            raise RequestRejected(400, "CannotParseRequest", f"apiFormat {api_format} is unknown: {', '.join(PARSERS)}")
        check_model_rules(model, request)
        check_ranges(request, RANGES[api_format])
        document = await self._complete("/v1/chat/completions", PARSERS[api_format](request), model)
        build_body = {
            "GENERIC": responses.build_generic_body,
            "COHERE": responses.build_cohere_body,
            "COHEREV2": responses.build_cohere_v2_body,
        }[api_format]

        def write() -> ResponsePlan:
            whole = {
                "modelId": model,
                "modelVersion": responses.VERSION,
                "chatResponse": build_body(model, document, request),
            }
            if not request.get("isStream"):
                return json_plan(200, whole)
            return self._stream(_events(api_format, model, document, request), whole, model)

        return await run_heavy(10 * _character_count(document), write)

    async def _generate_text(self, body: Json, model: str) -> ResponsePlan:
        request = body.get("inferenceRequest") or {}
        runtime = str(request.get("runtimeType"))
        params = parse_generate_text(request)
        check_ranges(request, RANGES["COHERE" if request.get("runtimeType") == "COHERE" else "GENERIC"])
        document = await self._complete("/v1/completions", params, model)
        inference_response = responses.build_generate_text_body(document, runtime, request["prompt"])
        whole = {"modelId": model, "modelVersion": responses.VERSION, "inferenceResponse": inference_response}
        if not request.get("isStream"):
            return json_plan(200, whole)
        return self._stream(responses.build_generate_text_events(document, runtime), whole, model)

    async def _embed(self, body: Json, model: str) -> ResponsePlan:
        return await run_heavy(
            len(str(body.get("inputs"))), lambda: json_plan(200, embeddings.build_embeddings(body, model))
        )

    async def _rerank(self, body: Json, model: str) -> ResponsePlan:
        return await run_heavy(
            len(str(body.get("documents"))), lambda: json_plan(200, embeddings.build_ranking(body, model))
        )

    def _stream(self, events: Iterable[Json], whole: Json, model: str) -> ResponsePlan:
        ending = _ENDINGS[self._ending or _DEFAULT_ENDINGS.get(responses.model_family(model), "eof")]
        chunks = [*(_sse.event(event) for event in events), *ending]
        return replace(stream_plan(chunks, "text/event-stream"), whole=_json.dumps(whole))


def _check_conversation_store(http_request: RecordedRequest) -> None:
    """Require the header that names the conversation store, unless the response is not to be stored."""
    store = http_request.headers.get("opc-conversation-store-id")
    if store is None and read_json_object(http_request).get("store") is not False:
        raise RequestRejected(400, "MissingParameter", "opc-conversation-store-id header is missing")
    if store not in {None, CONVERSATION_STORE}:
        raise RequestRejected(404, "NotAuthorizedOrNotFound", _NOT_FOUND_MESSAGE)


def _events(api_format: str, model: str, document: Json, request: Json) -> Iterator[Json]:
    include_usage = bool((request.get("streamOptions") or {}).get("isIncludeUsage"))
    match api_format:
        case "COHERE":
            return responses.build_cohere_events(model, document, request, include_usage=include_usage)
        case "COHEREV2":
            return responses.build_cohere_v2_events(model, document, request, include_usage=include_usage)
    return responses.build_generic_events(model, document, include_usage=include_usage)


def _parse_body(http_request: RecordedRequest) -> Json:
    try:
        body: Any = http_request.json
    except ValueError:
        raise RequestRejected(400, "CannotParseRequest", "The request is incorrectly formatted") from None
    if not isinstance(body, dict):
        raise RequestRejected(400, "CannotParseRequest", "The request is incorrectly formatted")
    return body


def _parse_document(data: bytes) -> Json:
    """Parse the model server's response; a text that is no JSON object becomes its message."""
    try:
        document: Any = _json.loads(data)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"message": data.decode("utf-8", "replace")}


def _character_count(document: Json) -> int:
    """Estimate the number of characters of the choices."""
    return sum(len(str(choice)) for choice in document["choices"])


def _not_found(model: str) -> RequestRejected:
    return RequestRejected(404, "404", f"Entity with key {model} not found")


def _requested_model(mode: Any) -> str:
    """Return the model that `servingMode` selects."""

    match mode:
        case {"servingType": "ON_DEMAND", "modelId": str(model)}:
            if model.startswith(_DEDICATED_PREFIX):
                raise _not_found(model)
            return model
        case {"servingType": "DEDICATED", "endpointId": str(model)} if model.startswith(_DEDICATED_PREFIX):
            return model
    raise RequestRejected(
        400, "InvalidParameter", "servingMode must be ON_DEMAND with a modelId or DEDICATED with an endpointId"
    )
