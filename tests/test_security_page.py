"""The limits in docs/security.md match the code: every row of its tables of limits, every number."""

import inspect
import re

import pytest
from _docs_pages import PAGES, ROOT

from mdstream_core import _addresses, _error_bodies, _json, attempt, recording
from mdstream_core.auth import _rejections
from mdstream_core.auth._oci_sdk import SDKSigner
from mdstream_core.auth._signer import Signer
from mdstream_core.dialects import _choice_decoder, _limits
from mdstream_core.emulator import Emulator, _ledger, _rate_limits, _replay
from mdstream_core.emulator import _bounds as emulator
from mdstream_core.emulator import _listener as site
from mdstream_core.emulator.model_server.responses import _store
from mdstream_core.emulator.services import _modelarts_websocket
from mdstream_core.retry import RetryBudget
from mdstream_core.transport import _http11, decompression, fetch
from mdstream_core.wire import MAX_FRAME_BYTES, eventstream

TEXT = PAGES["docs/security.md"]

#: The second header cell of a table of limits.
NUMBERED = ("maximum", "number")

#: The first cell of a row: the constants that its second cell, or its first, shows. `()` is no constant of the code.
LIMITS: dict[str, tuple[float, ...]] = {
    "choices of a response": (_limits.MAX_CHOICES,),
    "tool calls of a choice": (_limits.MAX_TOOL_CALLS,),
    "a tool's name, which may come in pieces": (_limits.MAX_NAME_CHARS,),
    "entries of one list beside the text (citations, images, other parts)": (_limits.MAX_ENTRIES,),
    "content parts of one payload": (_limits.MAX_ENTRIES,),
    "JSON that is kept (annotations, log probabilities, citations)": (_json.MAX_DEPTH,),
    "tokens that a server counts": (_limits.MAX_TOKENS,),
    "a service's own code in an error": (_error_bodies._MAX_CODE,),
    "a payload in `error.raw` that could not be read": (
        float(re.findall(r"quote_payload\(data, (\d+)\)", inspect.getsource(_choice_decoder))[0]),
    ),
    "one event, line, JSON document or WebSocket message": (MAX_FRAME_BYTES,),
    "headers of one event-stream message": (eventstream.MAX_HEADERS,),
    "payload of one event-stream message": (eventstream.MAX_PAYLOAD,),
    "size of a decompressed body": (decompression.MAX_DECOMPRESSED,),
    "compression ratio of a body, checked beyond 16 MiB of output": (decompression.MAX_RATIO, decompression.RATIO_CHECK_FROM),
    "content codings on top of each other": (decompression.MAX_CODINGS,),
    "body of an error response that is read": (attempt._MAX_ERROR_BODY,),
    "response to a token request": (fetch._MAX_BODY,),
    "HTTP header, trailer section, framing between two pieces of a body": (_http11.MAX_OVERHEAD,),
    "logins after a rejected one": (_rejections.MIN_PAUSE, _rejections.MAX_PAUSE),
    "logins in one call": (),
    "wait for a credential": (Signer.refresh_timeout, SDKSigner.refresh_timeout),
    "fetches of one credential at a time": (),
    "retry budget of a model object": (RetryBudget().capacity, RetryBudget().cost),
    "a name in an address": (_addresses._MAX_LENGTH,),
    "request line and header fields": (emulator.MAX_HEAD_BYTES,),
    "header fields of a request": (emulator.MAX_HEADERS,),
    "open connections": (emulator.MAX_CONNECTIONS,),
    "a request that is not complete (`keep_alive`)": (
        inspect.signature(Emulator).parameters["keep_alive"].default,
    ),
    "recorded requests (`emulator.requests`), all together": (emulator.MAX_RECORD_BYTES,),
    "recorded requests": (site._MAX_RECORDS,),
    "a recording, written or read": (recording.MAX_RECORDING,),
    "recorded body of a response": (recording.MAX_BODY,),
    "a response that hangs when it is played back": (_replay.MAX_HANG,),
    "stored responses and conversations of `/v1/responses`": (_store.MAX_ENTRIES, _store.MAX_BYTES),
    "requests of the ledger (`emulator.ledger`)": (_ledger.MAX_LEDGER_ENTRIES,),
    "name of a client or endpoint in the ledger": (
        _ledger.MAX_CLIENT_CHARACTERS,
        _ledger.MAX_ENDPOINT_CHARACTERS,
    ),
    "endpoints whose rate is counted": (_rate_limits._MAX_COUNTED_ENDPOINTS,),
    "nesting of a JSON document": (emulator.MAX_JSON_DEPTH,),
    "one text of a request": (emulator.MAX_STRING_CHARACTERS,),
    "all texts of a request": (emulator.MAX_TEXT_CHARACTERS,),
    "choices of a response, of all prompts together": (emulator.MAX_CHOICES,),
    "`max_tokens`": (emulator.MAX_TOKENS_PARAMETER,),
    "tokens of a response, `top_logprobs` included": (emulator.MAX_OUTPUT_TOKENS,),
    "texts to embed, messages of a conversation": (emulator.MAX_MESSAGES,),
    "characters to embed or to rank": (emulator.MAX_EMBEDDING_CHARACTERS,),
    "numbers of the embeddings of a response": (emulator.MAX_EMBEDDING_FLOATS,),
    "documents to rank": (emulator.MAX_DOCUMENTS,),
    "tools": (emulator.MAX_TOOLS,),
    "stop sequences": (emulator.MAX_STOPS,),
    "a WebSocket message": (_modelarts_websocket._MAX_MESSAGE,),
}  # fmt: skip

_UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "": 1}


def rows() -> dict[str, str]:
    """The rows of the tables of limits: the first cell, and the first two cells as a text."""
    found: dict[str, str] = {}
    numbered = False
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if len(cells) < 2:
            numbered = False
        elif cells[1] in NUMBERED:
            numbered = True
        elif numbered and not cells[0].startswith("---"):
            found[cells[0]] = f"{cells[0]} | {cells[1]}"
    return found


def numbers(text: str) -> set[float]:
    """The numbers in a text: `16 MiB`, `1,000`, `10^15`.

    >>> sorted(numbers("a 5 | 16 MiB, 10^3"))
    [5.0, 1000.0, 16777216.0]
    """
    powers = {float(base) ** int(power) for base, power in re.findall(r"(\d+)\^(\d+)", text)}
    sizes = re.findall(r"(?<![\d,.^])(\d[\d,]*(?:\.\d+)?)(?!\^)(?: (KiB|MiB|GiB))?", text)
    return powers | {float(number.replace(",", "")) * _UNITS[unit] for number, unit in sizes}


def test_every_limit_of_the_page_is_tested() -> None:
    """A row of the page has its constant here, and the reverse."""
    assert set(LIMITS) == set(rows())


@pytest.mark.parametrize(("name", "constants"), LIMITS.items(), ids=LIMITS)
def test_each_limit_equals_its_constant(name: str, constants: tuple[float, ...]) -> None:
    """Each limit equals its constant."""
    assert set(map(float, constants)) <= numbers(rows()[name])


def test_the_policy_links_to_the_limits() -> None:
    """SECURITY.md has the threat model, and one page the numbers."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")

    assert "(docs/security.md)" in text
    assert {"## Reporting a vulnerability", "## Supported versions", "## Threat model"} <= set(text.splitlines())
