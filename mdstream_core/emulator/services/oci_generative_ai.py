"""OCI Generative AI: `/20231130/actions/…`, and OpenAI's paths under `/openai/v1` and `/20231130/actions/v1`.

One compartment exists, `COMPARTMENT`, every on-demand model whose name begins as one of the families', and every
dedicated endpoint; before an upstream, models of any name. Llama's streams end with `[DONE]`, the others with the end
of the body, or as `ending` says: `eof`, `done`, `hang` (the connection stays open, as Cohere's was seen to do).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator import _sse
from mdstream_core.emulator._bounds import run_heavy
from mdstream_core.emulator._plan import Pause, Piece, Plan, gathered, json_plan, stream_plan
from mdstream_core.emulator._received import Received
from mdstream_core.emulator.container import Server, Unreachable
from mdstream_core.emulator.services import _genai_said as said
from mdstream_core.emulator.services import _genai_vectors as vectors
from mdstream_core.emulator.services._envelope import refuse
from mdstream_core.emulator.services._genai_asked import FORMATS, Json, Refused, prompt, wrong
from mdstream_core.emulator.services._genai_rules import RANGES, check, check_ranges

COMPARTMENT = "ocid1.compartment.oc1..emulated"

_ACTIONS = "/20231130/actions/"
_OPENAI = ("/openai/v1/", "/20231130/actions/v1/")
_HIDDEN = "Authorization failed or requested resource not found."
_ENDINGS: dict[str, tuple[Piece, ...]] = {"eof": (), "done": (_sse.DONE,), "hang": (Pause(),)}
_OWN_ENDING = {"meta.": "done"}
_DEDICATED = "ocid1.generativeaiendpoint."
_CATALOGUE = (*said.FAMILIES, "ocid1.generativeaimodel.", _DEDICATED)
#: What a list where an object belongs, and the like, ends in.
_MISSHAPEN = (AttributeError, LookupError, TypeError, ValueError, RecursionError)


class GenerativeAI:
    """The service in one region.

    Args:
        container: What answers.
        admit: Judges the credentials: a problem in words, or `None`.
        ending: How streams end: `eof`, `done`, `hang`; `""` is each family's own way.
        any_model: Whether models of other names exist than those of the families.
    """

    def __init__(
        self,
        container: Server,
        admit: Callable[[Received], str | None] = lambda received: None,
        ending: str = "",
        *,
        any_model: bool = False,
    ) -> None:
        if ending and ending not in _ENDINGS:
            raise ValueError(f"ending={ending!r} is unknown; there are: {', '.join(_ENDINGS)}")
        self._container = container
        self._admit = admit
        self._ending = ending
        self._any_model = any_model
        self._actions = {
            "chat": self._chat,
            "generateText": self._text,
            "embedText": self._embed,
            "rerankText": self._rank,
        }

    def owns(self, path: str) -> bool:
        """Whether a path is the service's."""
        return path.startswith(("/20231130/", "/openai/"))

    async def answer(self, received: Received) -> Plan:
        """Its answer."""
        problem = self._admit(received)
        if problem is not None:
            return refuse(401, "NotAuthenticated", problem)
        try:
            return await self._answer(received)
        except Refused as refused:
            return refuse(refused.status, refused.code, refused.message)
        except Unreachable as error:
            return refuse(503, "ServiceUnavailable", str(error))
        except (
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
            RecursionError,
        ) as error:  # a list where an object belongs, and the like
            return refuse(400, "CannotParseRequest", f"Unable to process the request: {error}")

    async def _answer(self, received: Received) -> Plan:
        for base in _OPENAI:
            if received.path.startswith(base):
                return await self._openai(received, received.path.removeprefix(base))
        action = self._actions.get(received.path.removeprefix(_ACTIONS))
        if action is None:
            raise Refused(404, "NotAuthorizedOrNotFound", _HIDDEN)
        if received.method != "POST":
            raise Refused(405, "MethodNotAllowed", f"Method {received.method} is not allowed")
        body = _read(received)
        if not body.get("compartmentId"):
            raise Refused(400, "MissingParameter", "compartmentId may not be null")
        if body["compartmentId"] != COMPARTMENT:
            raise Refused(404, "NotAuthorizedOrNotFound", _HIDDEN)
        return await action(body, self._known(_model(body.get("servingMode"))))

    async def _openai(self, received: Received, path: str) -> Plan:
        """OpenAI's own requests; the compartment is in a header, unless an API key stands for one."""
        headers = received.headers
        compartment = headers.get("opc-compartment-id") or headers.get("compartmentid")
        keyed = headers.get("authorization", "").lower().startswith("bearer ")
        if compartment is None and not keyed:
            raise Refused(400, "MissingParameter", "opc-compartment-id header is missing")
        if compartment not in {None, COMPARTMENT}:
            raise Refused(404, "NotAuthorizedOrNotFound", _HIDDEN)
        if received.method == "POST":
            body = _read(received)
            if "store" in body and path == "chat/completions":
                raise wrong("store is not supported")
            model = self._known(str(body.get("model") or ""))
            if (served := await self._served(model)) != model:
                return await self._container.answer("POST", f"/v1/{path}", _json.dumps({**body, "model": served}))
        return await self._container.answer(received.method, f"/v1/{path}", received.body)

    def _known(self, model: str) -> str:
        if not (self._any_model or model.startswith(_CATALOGUE)):
            raise _not_found(model)
        return model

    async def _served(self, model: str) -> str:
        """What the model server calls a model; only names of the service's own need a translation."""
        return await self._container.resolve_model(model) if model.startswith(_CATALOGUE) else model

    async def _ask(self, path: str, question: Json, model: str) -> Json:
        """The model's whole answer, in OpenAI's shape."""
        body = _json.dumps({**question, "model": await self._served(model)})
        plan = await gathered(await self._container.answer("POST", path, body))
        document = _document(b"".join(plan.bytes))
        if plan.status >= 400:
            error = document.get("error") or document
            code = "NotAuthorizedOrNotFound" if plan.status == 404 else str(plan.status)
            raise Refused(plan.status, code, str((error.get("message") if isinstance(error, dict) else None) or error))
        if not document.get("choices"):
            raise Refused(500, "InternalServerError", "The model server's response has no choices")
        return document

    async def _chat(self, body: Json, model: str) -> Plan:
        request = body.get("chatRequest")
        api_format = request.get("apiFormat") if isinstance(request, dict) else None
        if not isinstance(request, dict) or api_format not in FORMATS:
            raise Refused(400, "CannotParseRequest", f"apiFormat {api_format} is unknown: {', '.join(FORMATS)}")
        check(model, request)
        check_ranges(request, RANGES[api_format])
        document = await self._ask("/v1/chat/completions", FORMATS[api_format](request), model)
        make = {"GENERIC": said.generic_whole, "COHERE": said.cohere_whole, "COHEREV2": said.cohere_v2_whole}[
            api_format
        ]

        def write() -> Plan:
            whole = {"modelId": model, "modelVersion": said.VERSION, "chatResponse": make(model, document, request)}
            if not request.get("isStream"):
                return json_plan(200, whole)
            return self._stream(_events(api_format, model, document, request), whole, model)

        return await run_heavy(10 * _length(document), write)

    async def _text(self, body: Json, model: str) -> Plan:
        request = body.get("inferenceRequest") or {}
        runtime = str(request.get("runtimeType"))
        asked = prompt(request)
        check_ranges(request, RANGES["COHERE" if request.get("runtimeType") == "COHERE" else "GENERIC"])
        document = await self._ask("/v1/completions", asked, model)
        inside = said.text_whole(document, runtime, request["prompt"])
        whole = {"modelId": model, "modelVersion": said.VERSION, "inferenceResponse": inside}
        if not request.get("isStream"):
            return json_plan(200, whole)
        return self._stream(said.text_events(document, runtime), whole, model)

    async def _embed(self, body: Json, model: str) -> Plan:
        return await run_heavy(len(str(body.get("inputs"))), lambda: json_plan(200, vectors.embeddings(body, model)))

    async def _rank(self, body: Json, model: str) -> Plan:
        return await run_heavy(len(str(body.get("documents"))), lambda: json_plan(200, vectors.ranks(body, model)))

    def _stream(self, events: Iterable[Json], whole: Json, model: str) -> Plan:
        ending = _ENDINGS[self._ending or _OWN_ENDING.get(said.family(model), "eof")]
        pieces = [*(_sse.event(event) for event in events), *ending]
        return replace(stream_plan(pieces, "text/event-stream"), whole=_json.dumps(whole))


def _events(api_format: str, model: str, document: Json, request: Json) -> Iterator[Json]:
    counted = bool((request.get("streamOptions") or {}).get("isIncludeUsage"))
    match api_format:
        case "COHERE":
            return said.cohere_events(model, document, request, counted=counted)
        case "COHEREV2":
            return said.cohere_v2_events(model, document, request, counted=counted)
    return said.generic_events(model, document, counted=counted)


def _read(received: Received) -> Json:
    try:
        body: Any = received.json
    except ValueError:
        raise Refused(400, "CannotParseRequest", "The request is incorrectly formatted") from None
    if not isinstance(body, dict):
        raise Refused(400, "CannotParseRequest", "The request is incorrectly formatted")
    return body


def _document(data: bytes) -> Json:
    """What the model server returned; text that is no JSON object counts as its message."""
    try:
        document: Any = _json.loads(data)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"message": data.decode("utf-8", "replace")}


def _length(document: Json) -> int:
    """About how many characters the choices have."""
    return sum(len(str(choice)) for choice in document["choices"])


def _not_found(model: str) -> Refused:
    return Refused(404, "404", f"Entity with key {model} not found")


def _model(mode: Any) -> str:
    """Who is to answer."""
    match mode:
        case {"servingType": "ON_DEMAND", "modelId": str(model)}:
            if model.startswith(_DEDICATED):
                raise _not_found(model)
            return model
        case {"servingType": "DEDICATED", "endpointId": str(model)} if model.startswith(_DEDICATED):
            return model
    raise Refused(
        400, "InvalidParameter", "servingMode must be ON_DEMAND with a modelId or DEDICATED with an endpointId"
    )
