"""`/v1/responses` and `/v1/conversations`: OpenAI's Responses API, in the format of one server."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from mdstream_core import _json
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan, stream_plan
from mdstream_core.emulator.model_server._deferred import EVENT_BYTES, DeferredResponse, Generate, Generation
from mdstream_core.emulator.model_server._errors import ModelServerError
from mdstream_core.emulator.model_server._responses_formats import Json, ResponsesFormat
from mdstream_core.emulator.model_server.responses._conversion import to_chat_request
from mdstream_core.emulator.model_server.responses._errors import invalid
from mdstream_core.emulator.model_server.responses._items import (
    check_item,
    check_order,
    check_pairs,
    item_type,
    not_persisted,
)
from mdstream_core.emulator.model_server.responses._output import OutputBuilder
from mdstream_core.emulator.model_server.responses._store import ResponseStore
from mdstream_core.emulator.model_server.responses._validation import check_parameters
from mdstream_core.emulator.model_server.responses._writer import CREATED, ResponseParts, ResponseWriter

RESPONSES, CONVERSATIONS = "/v1/responses", "/v1/conversations"
#: Fields that a request to `/v1/responses` has beside `input`, and one to `/v1/embeddings` has not.
_OWN_FIELDS = {"stream", "instructions", "max_output_tokens", "previous_response_id", "conversation", "tools", "store",
               "text", "reasoning", "include", "truncation"}  # fmt: skip

Route = Callable[[Json], ResponsePlan | DeferredResponse]


def is_responses_request(request: Json) -> bool:
    """Return whether a body is a request to `/v1/responses`, and not one for embeddings, which has `input` too.

    >>> is_responses_request({"input": "Hello", "stream": True}), is_responses_request({"input": ["Hello"]})
    (True, False)
    """
    value = request.get("input")
    has_items = isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
    return has_items or ("input" in request and not _OWN_FIELDS.isdisjoint(request))


class ResponsesRoutes:
    """The routes of the Responses API, with the responses that they store.

    Args:
        format: Format of the server.
        generate: Generates the output for the chat request that a request is converted to.
        content_type: `content-type` of streams.
    """

    def __init__(self, format: ResponsesFormat, generate: Generate, content_type: str) -> None:
        self._format = format
        self._generate = generate
        self._content_type = content_type
        self._store = ResponseStore()
        self._ids = count(1)

    def find_route(self, method: str, path: str) -> Route | None:
        """Return the function for a path; `None` if it is no path of this API."""
        path = path.rstrip("/")
        if (method, path) == ("POST", RESPONSES):
            return self._create
        base, _, rest = path.removeprefix("/v1/").partition("/")
        if base not in {"responses", "conversations"} or (base == "conversations" and not self._format.is_strict):
            return None
        if (method, path) == ("POST", CONVERSATIONS):
            return self._create_conversation
        id, _, action = rest.partition("/")
        routes: dict[tuple[str, str], Callable[[str], ResponsePlan]] = {
            ("GET", ""): self._retrieve,
            ("DELETE", ""): self._delete,
            ("GET", "input_items"): self._list_items,
            ("GET", "items"): self._list_items,
        }
        route = routes.get((method, action)) if id else None
        return None if route is None else lambda request: route(id)

    # Creating a response

    def _create(self, request: Json) -> DeferredResponse:
        check_parameters(request, is_strict=self._format.is_strict)
        conversation = self._conversation_id(request)
        history = self._history(request, conversation)
        new_items = self._read_input(request.get("input"))
        items = (*history, *new_items)
        check_pairs(items, is_strict=self._format.is_strict)
        if self._format.is_strict:
            check_order(items, new_items, self._store)
        generation = self._generate(to_chat_request(request, items))
        id = f"resp_{next(self._ids):016x}"
        size = generation.output.token_count * EVENT_BYTES * (1 + (request.get("top_logprobs") or 0))
        return DeferredResponse(size, lambda: self._write(id, request, items, generation, conversation))

    def _read_input(self, value: Any) -> tuple[Json, ...]:
        """Check the input items; references are replaced with the items that they name."""
        if isinstance(value, str):
            return ({"type": "message", "role": "user", "content": value},)
        for index, item in enumerate(value or ()):
            check_item(item, f"input[{index}]", is_strict=self._format.is_strict)
        return tuple(self._resolve_reference(item) for item in value or ())

    def _resolve_reference(self, item: Json) -> Json:
        if item_type(item) != "item_reference":
            return item
        found = self._store.find_item(str(item["id"]))
        if found is None:
            raise not_persisted(str(item["id"]))
        return found[0]

    def _conversation_id(self, request: Json) -> str | None:
        conversation = request.get("conversation")
        id = conversation.get("id") if isinstance(conversation, dict) else conversation
        if id is None:
            return None
        if not self._format.is_strict:
            raise invalid("conversation: this server has no conversations", "conversation")
        if self._store.get(str(id)) is None:
            raise invalid(f"Conversation with id '{str(id)[:100]}' not found.", "conversation", status=404)
        return str(id)

    def _history(self, request: Json, conversation: str | None) -> tuple[Json, ...]:
        """Return the items of the conversation, or those of the response that the request continues."""
        previous = request.get("previous_response_id")
        entry = self._store.get(previous or conversation or "")
        if previous is not None and entry is None:
            raise self._unknown_response_error(previous)
        return () if entry is None else entry.items

    def _unknown_response_error(self, id: str) -> ModelServerError:
        if self._format.is_strict:
            text = f"Previous response with id '{id[:100]}' not found."
            return invalid(text, "previous_response_id", "previous_response_not_found")
        return invalid(f"Response with id '{id[:100]}' not found.", "response_id", status=404)

    def _write(
        self, id: str, request: Json, items: Sequence[Json], generation: Generation, conversation: str | None
    ) -> ResponsePlan:
        output = generation.output
        numbers = (generation.prompt_tokens, generation.cached_tokens, output.token_count, len(output.reasoning))
        parts = ResponseParts(
            id=id,
            request=request,
            model=str(request.get("model") or "odsc-llm"),
            max_output_tokens=generation.max_tokens,
            items=OutputBuilder(self._format, request, id, output).build(),
            finish=output.finish,
            usage=self._format.usage(*numbers),
            conversation=conversation,
        )
        writer = ResponseWriter(self._format, parts)
        document = writer.document()
        self._save(request, document, items, conversation)
        if request.get("stream"):
            return replace(stream_plan(list(writer.encoded_events()), self._content_type), whole=_json.dumps(document))
        return json_plan(200, writer.document("queued") if request.get("background") else document)

    def _save(self, request: Json, document: Json, items: Sequence[Json], conversation: str | None) -> None:
        """Store a response, unless the request forbids it, and extend the conversation."""
        whole = (*items, *document["output"])
        if request.get("store") is not False:
            self._store.put(document, whole, len(items))
        entry = self._store.get(conversation or "")
        if entry is not None:
            self._store.put(entry.document, whole, len(items))

    # Stored responses

    def _retrieve(self, id: str) -> ResponsePlan:
        entry = self._store.get(id)
        if entry is None:
            raise invalid(f"Response with id '{id[:100]}' not found.", None, status=404)
        return json_plan(200, entry.document)

    def _delete(self, id: str) -> ResponsePlan:
        kind = "conversation.deleted" if id.startswith("conv_") else "response"
        if not self._store.remove(id):
            raise invalid(f"Response with id '{id[:100]}' not found.", None, status=404)
        return json_plan(200, {"id": id, "object": kind, "deleted": True})

    def _list_items(self, id: str) -> ResponsePlan:
        entry = self._store.get(id)
        if entry is None:
            raise invalid(f"Response with id '{id[:100]}' not found.", None, status=404)
        listed = entry.items if id.startswith("conv_") else entry.items[: entry.input_count]
        data = [{"id": f"item_{index:04x}", "status": "completed", **item} for index, item in enumerate(listed)]
        ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
        return json_plan(200, {"object": "list", "data": data[::-1], **ends, "has_more": False})

    def _create_conversation(self, request: Json) -> ResponsePlan:
        items = self._read_input(request.get("items") or [])
        document = {
            "id": f"conv_{next(self._ids):016x}",
            "object": "conversation",
            "created_at": CREATED,
            "metadata": request.get("metadata") or {},
        }
        self._store.put(document, items, len(items))
        return json_plan(200, document)


__all__ = ["ResponsesFormat", "ResponsesRoutes", "is_responses_request"]
