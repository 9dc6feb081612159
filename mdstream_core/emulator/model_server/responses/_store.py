"""Stored responses and conversations of `/v1/responses`, within limits of number and size."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from mdstream_core import _json

Json = dict[str, Any]

# Security limits.
MAX_ENTRIES = 1_000  # responses and conversations that are stored
MAX_BYTES = 32 * 1024 * 1024  # of all of them as JSON


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response, or a conversation.

    Attributes:
        document: The response object, or the conversation object.
        items: The input items of the request, those of earlier turns included, and the output.
        input_count: How many of the items are input.
        size: Bytes of the items as JSON.
    """

    document: Json
    items: tuple[Json, ...]
    input_count: int
    size: int


class ResponseStore:
    """Responses and conversations by their id; the oldest are dropped if there are too many."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, StoredResponse] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, id: str) -> StoredResponse | None:
        """Return an entry; `None` if it does not exist, or not any more."""
        with self._lock:
            return self._entries.get(id)

    def put(self, document: Json, items: tuple[Json, ...], input_count: int) -> None:
        """Store a response or a conversation under the id of its document."""
        size = len(_json.dumps(list(items)))
        with self._lock:
            self._remove(document["id"])
            self._entries[document["id"]] = StoredResponse(document, items, input_count, size)
            self._size += size
            while len(self._entries) > 1 and (len(self._entries) > MAX_ENTRIES or self._size > MAX_BYTES):
                self._size -= self._entries.popitem(last=False)[1].size

    def remove(self, id: str) -> bool:
        """Remove an entry; return whether it existed."""
        with self._lock:
            return self._remove(id)

    def find_item(self, id: str) -> tuple[Json, StoredResponse] | None:
        """Find an item by its id, with the newest response that contains it."""
        with self._lock:
            for entry in reversed(self._entries.values()):
                for item in entry.items:
                    if item.get("id") == id:
                        return item, entry
        return None

    def _remove(self, id: str) -> bool:
        entry = self._entries.pop(id, None)
        self._size -= 0 if entry is None else entry.size
        return entry is not None
