"""Each fault of the emulator is recorded on each platform where it applies, and played back as the same failure."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from _langchain_platforms import CHAT
from _platforms import AWS, PLATFORM_CASES, PlatformCase
from _stream_endings import REQUEST
from llama_index.core.llms import ChatMessage
from test_record_and_replay import LLAMA, facts

from mdstream_core import MDStreamError
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.recording import Recording, record


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator(aws_keys=AWS) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def replayer() -> Iterator[Emulator]:
    """One replaying emulator for the module, whose recording the tests exchange."""
    with Emulator(replay=Recording({}), aws_keys=AWS) as emulator:
        yield emulator


EVENT = b'data: {"error":{"message":"the model server failed","code":500}}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nopc-request-id: 7\r\n"

#: Arguments of the kinds that need some, or that fail only with some; else a kind is used without, and with each spelling.
ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "raw": [
        {"data": HEAD + b"content-length: 90\r\n\r\n" + EVENT},
        {"data": HEAD + b"content-length: %d\r\n\r\n" % len(EVENT) + EVENT},
        {"data": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n"},
        {"data": b"no HTTP\r\n\r\n"},
    ],
    "body": [{"data": EVENT}, {"data": EVENT, "size": 7}, {"data": b"\xff\xfe"}],
    "insert": [{"after": 2, "data": EVENT}],
    "refuse": [
        {"status": status} for status in (400, 401, 403, 404, 408, 409, 413, 418, 422, 424, 429, 500, 502, 503, 504)
    ],
    "trailer": [{"after": 3, "reason": reason} for reason in ("ServiceTimeout", "InternalServerError")],
    "hold": [{"seconds": 0.01}],
    "slow_head": [{"seconds": 0.01}],
    "huge_line": [{"size": 70_000}],
    "finish_reason": [{"spelling": reason} for reason in ("length", "content_filter", "error", "nobody_knows")],
}

#: Kinds that are tested elsewhere: with a timeout, and with a file.
ELSEWHERE = {"stall", "transcript"}

#: Kinds that are failures on these platforms only; elsewhere nothing reads what they send.
ONLY: dict[str, Callable[[str], bool]] = {
    **dict.fromkeys(
        ("refuse_aws", "exception_frame", "damaged_frame", "partial_frame", "split_frames"),
        lambda kind: kind == "sagemaker",
    ),
    **dict.fromkeys(("trailer", "cut_trailer"), lambda kind: kind == "oci-model-deployment"),
    "raw": lambda kind: kind != "modelarts-websocket",
    # Read as text, binary frames fail as their checksums happen to be; with placeholders these are others.
    "content_type": lambda kind: kind != "sagemaker",
}

#: Seconds; a replay that waits for ever fails the test.
TIMEOUT = 10

#: Codes with which a service may close a WebSocket (RFC 6455 §7.4).
CLOSES = [
    Fault("trailer", name="close", data=b"%d why" % code, after=after)
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4000, 4999)
    for after in (0, 3, None)
]


def build_faults(kind: str, platform: str, turn: int) -> list[Fault]:
    """Build each fault of a kind that applies to a platform; of the many error responses, a third on each in turn."""
    if kind == "trailer" and platform == "modelarts-websocket":
        return CLOSES
    if not ONLY.get(kind, lambda _: True)(platform):
        return []
    spellings = list(Fault.known[kind] or ())
    if kind == "refuse":
        spellings = spellings[turn % 3 :: 3]
    arguments = [*({"spelling": spelling} for spelling in spellings), *ARGUMENTS.get(kind, [{}])]
    return [Fault(kind, **{"after": after, **options}) for options in arguments for after in AFTER.get(kind, (None,))]


#: Number of events before the fault, for the kinds that can fail early and late.
AFTER = dict.fromkeys(("trailer", "cut_trailer", "exception_frame"), (0, 3, None)) | dict.fromkeys(
    ("cut", "cut_chunk", "reset", "no_finish", "empty", "early_done", "malformed_json"), (0, 3)
)


def stream_langchain(chat: Any, texts: list[Any]) -> None:
    texts += (chunk.text for chunk in chat.stream(REQUEST))


def astream_langchain(chat: Any, texts: list[Any]) -> None:
    async def read() -> None:
        async for chunk in chat.astream(REQUEST):
            texts.append(chunk.text)  # noqa: PERF401  # those before an error must be kept

    asyncio.run(read())


def invoke_langchain(chat: Any, texts: list[Any]) -> None:
    texts.append(chat.invoke(REQUEST).text)


def stream_llamaindex(llm: Any, texts: list[Any]) -> None:
    texts += (response.delta for response in llm.stream_chat([ChatMessage(REQUEST)]))


def astream_llamaindex(llm: Any, texts: list[Any]) -> None:
    async def read() -> None:
        async for response in await llm.astream_chat([ChatMessage(REQUEST)]):
            texts.append(response.delta)  # noqa: PERF401  # those before an error must be kept

    asyncio.run(read())


def achat_llamaindex(llm: Any, texts: list[Any]) -> None:
    texts.append(asyncio.run(llm.achat([ChatMessage(REQUEST)])).message.content)


#: The frameworks' methods, which take turns.
METHODS: list[tuple[Mapping[str, Any], Callable[[Any, list[Any]], None]]] = [
    (CHAT, stream_langchain),
    (LLAMA, astream_llamaindex),
    (CHAT, invoke_langchain),
    (LLAMA, stream_llamaindex),
    (CHAT, astream_langchain),
    (LLAMA, achat_llamaindex),
]


def call(platform_case: PlatformCase, emulator: Emulator, turn: int) -> tuple[list[Any], Any]:
    """Call a model: the texts, and the facts of the error."""
    models, method = METHODS[turn % len(METHODS)]
    texts: list[Any] = []
    try:
        method(models[platform_case.kind](**platform_case.fields(emulator), max_retries=0, timeout=TIMEOUT), texts)
    except MDStreamError as error:
        return texts, facts(error)
    return texts, None


@pytest.mark.parametrize("kind", sorted(Fault.known.keys() - ELSEWHERE))
def test_a_fault_is_played_back(kind: str, shared_emulator: Emulator, replayer: Emulator, tmp_path: Path) -> None:
    """
    The same texts, error, code, status, request id and partial response with texts; without, all but the texts. The two
    take turns.
    """
    hidden, kept = tmp_path / "hidden.jsonl", tmp_path / "kept.jsonl"
    for turn, (name, platform_case) in enumerate(PLATFORM_CASES.items()):
        for at, fault in enumerate(build_faults(kind, platform_case.kind, turn)):
            case = f"{name}: {fault}, {METHODS[(turn + at) % len(METHODS)][1].__name__}"
            shared_emulator.reset()
            shared_emulator.script(fault)
            with record(hidden), record(kept, keep_text=True):
                original = call(platform_case, shared_emulator, turn + at)

            if (turn // 2 + at) % 2:
                replayer.replay(kept)
                assert original == call(platform_case, replayer, turn + at), case
                continue
            replayer.replay(hidden)
            texts, error = call(platform_case, replayer, turn + at)
            assert [*map(len, original[0])] == [*map(len, texts)], case
            assert (original[1] and original[1][:5]) == (error and error[:5]), case
