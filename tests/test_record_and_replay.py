"""A recorded failure is played back as the same failure, on every platform, with both frameworks."""

import asyncio
import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from _langchain_platforms import CHAT
from _platforms import AWS, MATRIX, PLATFORM_CASES, PlatformCase
from _stream_endings import ENDINGS, HEALTHY, NOTHING, REQUEST
from llama_index.core.llms import ChatMessage
from test_limits import is_linear

from llamaindex_mdstream import ModelArts, OCIDataScience, OCIGenAI, SageMakerLLM
from mdstream_core import MDStreamError
from mdstream_core.cli import main
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator._event_stream import encode_part
from mdstream_core.recording import Recording, RecordingError, read_recording, record
from mdstream_core.recording._bodies import hide_pieces
from mdstream_core.recording._texts import hide_texts

LLAMA: dict[str, Any] = {
    "oci-model-deployment": OCIDataScience,
    "oci-genai": OCIGenAI,
    "sagemaker": SageMakerLLM,
    "modelarts": ModelArts,
    "modelarts-websocket": ModelArts,
    "modelarts-maas": ModelArts,
}


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


def facts(error: BaseException | None) -> Any:
    """What a caller knows of an error."""
    if not isinstance(error, MDStreamError):
        return error
    partial = error.partial.to_dict() if error.partial else None
    request_id = error.request_id if error.status else None  # without a response, it is that of this request
    return type(error).__name__, error.code, error.status, error.retryable, request_id, partial


def langchain(platform_case: PlatformCase, emulator: Emulator) -> tuple[list[Any], Any]:
    """Stream with LangChain: the texts, and the facts of the error."""
    chat = CHAT[platform_case.kind](**platform_case.fields(emulator), max_retries=0)
    texts: list[Any] = []
    try:
        texts += (chunk.text for chunk in chat.stream(REQUEST))
    except MDStreamError as error:
        return texts, facts(error)
    return texts, None


def llamaindex(platform_case: PlatformCase, emulator: Emulator) -> tuple[list[Any], Any]:
    """Stream with LlamaIndex, async: the deltas, and the facts of the error."""
    llm = LLAMA[platform_case.kind](**platform_case.fields(emulator), max_retries=0)
    texts: list[Any] = []

    async def read() -> None:
        async for response in await llm.astream_chat([ChatMessage(REQUEST)]):
            texts.append(response.delta)  # noqa: PERF401  # those before an error must be kept

    try:
        asyncio.run(read())
    except MDStreamError as error:
        return texts, facts(error)
    return texts, None


DEPLOYMENT = PLATFORM_CASES["OCI model deployment"]

#: Every failure of every platform.
FAILURES = {name: (platform_case, ending.fault) for name, (platform_case, ending) in MATRIX.items()}

#: What else a stream can be: refused, dropped, of an unusual but valid format. Both frameworks share what records it.
OTHERS: dict[str, tuple[PlatformCase, Fault]] = {
    **{
        f"deployment: {name}": (DEPLOYMENT, ending.fault)
        for name, ending in {**ENDINGS, **NOTHING}.items()
        if "before [" not in name
    },
    **{f"deployment: {name}": (DEPLOYMENT, fault) for name, fault in HEALTHY.items() if fault.kind != "bytewise"},
    **{f"deployment: {name}": (DEPLOYMENT, Fault("refuse", name)) for name in ("lb_bandwidth", "not_found")},
    "deployment: invalid UTF-8": (DEPLOYMENT, Fault("bad_utf8", after=3)),
    **{
        f"{name}: dropped": (platform_case, Fault("drop"))
        for name, platform_case in PLATFORM_CASES.items()
        if platform_case is not DEPLOYMENT
    },
}

CASES = {f"{name}-langchain": (*case, langchain) for name, case in FAILURES.items()}
CASES |= {f"{name}-llamaindex": (*case, llamaindex) for name, case in FAILURES.items()}
CASES |= {name: (*case, (langchain, llamaindex)[at % 2]) for at, (name, case) in enumerate(OTHERS.items())}


@pytest.mark.parametrize(("platform_case", "fault", "stream"), CASES.values(), ids=CASES)
def test_a_recorded_failure_is_played_back(
    platform_case: PlatformCase,
    fault: Fault,
    stream: Any,
    shared_emulator: Emulator,
    replayer: Emulator,
    tmp_path: Path,
) -> None:
    """The same texts, error, code, request id and partial response with texts; without, the same error and shape."""
    shared_emulator.reset()
    shared_emulator.script(fault)
    with record(tmp_path / "hidden.jsonl"), record(tmp_path / "kept.jsonl", keep_text=True):
        original = stream(platform_case, shared_emulator)
    hidden = (tmp_path / "hidden.jsonl").read_bytes()

    replayer.replay(tmp_path / "kept.jsonl")
    assert original == stream(platform_case, replayer)

    replayer.replay(tmp_path / "hidden.jsonl")
    texts, error = stream(platform_case, replayer)
    assert list(map(len, texts)) == list(map(len, original[0]))
    assert (error and error[:4]) == (original[1] and original[1][:4])
    assert b"rivers" not in hidden
    assert b"Nile" not in hidden


@pytest.mark.parametrize("name", ["OCI model deployment", "ModelArts WebSocket"])
def test_a_timeout_is_played_back(name: str, shared_emulator: Emulator, replayer: Emulator, tmp_path: Path) -> None:
    """The emulator keeps the connection open until the client gives up."""
    shared_emulator.reset()
    shared_emulator.script(Fault("stall", after=3))
    platform_case = replace(PLATFORM_CASES[name], options={"timeout": 1})
    with record(tmp_path / "stalled.jsonl", keep_text=True):
        original = langchain(platform_case, shared_emulator)

    assert [exchange.end for exchange in read_recording(tmp_path / "stalled.jsonl").exchanges] == ["timeout"]
    replayer.replay(tmp_path / "stalled.jsonl")
    assert original == langchain(platform_case, replayer)
    assert original[1][0] == "StreamStalled"


def test_a_body_that_cannot_be_decompressed_is_played_back(
    shared_emulator: Emulator, replayer: Emulator, tmp_path: Path
) -> None:
    """The recording has what was decompressed; the emulator compresses it, and adds invalid data."""
    event = {"choices": [{"index": 0, "delta": {"content": "The Nile"}, "finish_reason": None}]}
    compressor = zlib.compressobj(wbits=31)
    body = compressor.compress(f"data: {json.dumps(event)}\n\n".encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)
    fields = f"content-type: text/event-stream\r\nopc-request-id: 7\r\ncontent-encoding: gzip\r\ncontent-length: {len(body) + 8}"
    shared_emulator.reset()
    shared_emulator.script(Fault("raw", data=f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + body + b"\xff" * 8))
    with record(tmp_path / "invalid.jsonl", keep_text=True):
        original = langchain(DEPLOYMENT, shared_emulator)

    assert [exchange.end for exchange in read_recording(tmp_path / "invalid.jsonl").exchanges] == ["undecodable"]
    replayer.replay(tmp_path / "invalid.jsonl")
    assert original == langchain(DEPLOYMENT, replayer)
    assert original[1][:2] == ("MalformedStream", "DecodingError")
    assert "".join(original[0]) == "The Nile"


def bodies(path: Path) -> list[bytes]:
    """The recorded bodies of requests and responses, decoded."""
    exchanges = read_recording(path).exchanges
    return [exchange.request_body + b"".join(data for _, data in exchange.body) for exchange in exchanges]


@pytest.mark.filterwarnings("ignore:SageMaker removes the header")
@pytest.mark.parametrize("platform_case", PLATFORM_CASES.values(), ids=PLATFORM_CASES)
def test_no_prompt_response_or_credential_is_recorded(
    platform_case: PlatformCase, shared_emulator: Emulator, tmp_path: Path
) -> None:
    """Not in the file, and not in a body that is encoded in it; with texts kept, credentials are still removed."""
    shared_emulator.reset()
    path, kept = tmp_path / "hidden.jsonl", tmp_path / "kept.jsonl"
    chat = CHAT[platform_case.kind](
        **platform_case.fields(shared_emulator),
        default_headers={"x-planted": "PLANTED-HEADER", "authorization-2": "PLANTED-KEY"},
    )
    with record(path), record(kept, keep_text=True):
        chat.invoke("Name three rivers, please, dear PLANTED-NAME.", stream=True)
        chat.invoke(REQUEST)

    assert path.stat().st_mode & 0o777 == 0o600
    for text in (path.read_bytes(), *bodies(path)):
        for word in (b"PLANTED", b"rivers", b"Nile", b"Amazon", b"please", *(key.encode() for key in AWS.values())):
            assert word not in text
    for text in (kept.read_bytes(), *bodies(kept)):
        assert b"PLANTED-HEADER" not in text
        assert b"PLANTED-KEY" not in text
    assert all(b"rivers" in body for body in bodies(kept))


def test_retries_and_their_order_are_played_back(shared_emulator: Emulator, tmp_path: Path) -> None:
    """Each attempt is an exchange; a request too many, or of another path, gets an error that says why."""
    shared_emulator.reset()
    shared_emulator.script(Fault("refuse", "unavailable", retry_after="0"), None)
    fields = {"auth_type": "none", "max_retries": 1}
    with record(tmp_path / "retried.jsonl", keep_text=True):
        text = CHAT["oci-model-deployment"](endpoint=shared_emulator.endpoint, **fields).invoke(REQUEST).text

    recording = read_recording(tmp_path / "retried.jsonl")
    assert [(exchange.attempt, exchange.status) for exchange in recording.exchanges] == [(1, 503), (2, 200)]
    with Emulator(replay=recording, replay_timing=True) as emulator:
        chat = CHAT["oci-model-deployment"](endpoint=emulator.endpoint, **fields)
        assert chat.invoke(REQUEST).text == text
        with pytest.raises(MDStreamError, match="all recorded exchanges of this path were played back"):
            chat.invoke(REQUEST)
        with pytest.raises(MDStreamError, match="the recording has no POST /endpoints"):
            CHAT["sagemaker"](**PLATFORM_CASES["SageMaker vLLM"].fields(emulator)).invoke(REQUEST)
        emulator.reset()
        assert chat.invoke(REQUEST).text == text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no recording"),
        (b'{"mdstream_recording": 99}\n', "has version 99"),
        (b'{"mdstream_recording": 1}\n{"call": 1}\n', "line 2 of x.jsonl is no exchange"),
        (b'{"mdstream_recording": 1}\n[1]\n', "line 2 of x.jsonl is no exchange: it is no JSON object"),
        (b"{", "line 1 of x.jsonl is no exchange"),
    ],
)
def test_a_file_that_is_no_recording_is_an_error(content: bytes, reason: str, tmp_path: Path) -> None:
    """The error names the file and the line."""
    (tmp_path / "x.jsonl").write_bytes(content)

    with pytest.raises(RecordingError, match=reason):
        Emulator(replay=tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    "text",
    [
        r'{"content":"A secret, 42 \u00e9 \n \"quoted\" \\ ü"}',
        r'{"tool_calls":[{"function":{"arguments":"{\"city\": \"Secret\\n \\u00e9\", \"n\": 10.5e3, \"b\": true}"}}]}',
        '{"logprobs":{"content":[{"token":"Secret","bytes":[83,101]}]},"embedding":[-0.25,1e-05]}',
        '{"parameters":{"type":"secret","secret":["id",7]},"type":"secret answer"}',
        'data: {"content":\ndata: "secret"}\n\n: secret\nevent: error\nid: a secret\n\n',
        '{"content":"secret',
        r"<html><body>Secret \q</body></html>",
        "\ufeffdata: secret\n\n",
    ],
)
def test_placeholders_keep_length_and_validity(text: str) -> None:
    """The length in bytes stays, JSON stays valid, and no text stays."""
    hidden = hide_texts(text.encode())

    assert len(hidden) == len(text.encode())
    assert b"ecret" not in hidden
    if text.startswith("{") and text.endswith("}"):
        json.loads(hidden)
    if "arguments" in text:
        assert set(json.loads(json.loads(hidden)["tool_calls"][0]["function"]["arguments"]).values()) >= {True}


# The command line


def test_the_command_records_a_failure(
    shared_emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is that of the request; the output says where the file is and how to play it back."""
    shared_emulator.reset()
    shared_emulator.script(Fault("trailer", after=3))
    path = tmp_path / "failure.jsonl"

    arguments = ["--auth-type", "none", "Name", "three", "-o", str(path), "rivers."]
    assert main(["record", shared_emulator.endpoint, *arguments]) == 1
    printed = capsys.readouterr()
    assert f"Recorded to {path}." in printed.err
    assert f"mdstream emulate --replay {path}" in printed.err
    assert "rivers" not in path.read_text()

    with Emulator(replay=path) as emulator:
        assert main(["chat", emulator.endpoint, "--auth-type", "none", "Name three rivers."]) == 1
    assert "ModelResponseTimeExceeded" in capsys.readouterr().err


@pytest.mark.parametrize("keep_text", [False, True], ids=["hidden", "kept"])
def test_the_command_records_a_success(keep_text: bool, shared_emulator: Emulator, tmp_path: Path) -> None:
    """With `--keep-text` the file has the texts."""
    shared_emulator.reset()
    path = tmp_path / "success.jsonl"
    more = ["--keep-text"] if keep_text else []

    arguments = ["--auth-type", "none", "--json", "-o", str(path), *more, "Name three rivers."]
    assert main(["record", shared_emulator.endpoint, *arguments]) == 0
    assert ("rivers" in path.read_text()) is keep_text


def test_paths_that_cannot_be_used_are_usage_errors(
    shared_emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any request is sent."""
    shared_emulator.reset()
    missing = str(tmp_path / "no" / "file")
    (tmp_path / "x.jsonl").write_text("{}\n")

    assert main(["record", shared_emulator.endpoint, "--auth-type", "none", "-o", missing, "Hello"]) == 2
    assert main(["check", shared_emulator.endpoint, "--auth-type", "none", "--report", missing]) == 2
    assert main(["emulate", "--replay", str(tmp_path / "x.jsonl")]) == 2
    printed = capsys.readouterr().err
    assert "cannot write --output" in printed
    assert "cannot write --report" in printed
    assert "--replay x.jsonl is no recording" in printed
    assert shared_emulator.requests == []


def test_the_report_of_a_check_has_no_secret_prompt_or_response(
    shared_emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ZIP has findings, versions and a recording, and the command lists them."""
    shared_emulator.reset()
    monkeypatch.setenv("PLANTED", "sk-planted-0042")
    path = tmp_path / "out.zip"

    arguments = ["--api-key", "env:PLANTED", "--header", "x-team: env:PLANTED", "--report", str(path)]
    assert main(["check", shared_emulator.endpoint, *arguments]) == 0
    printed = capsys.readouterr().err
    with ZipFile(path) as bundle:
        contents = {name: bundle.read(name) for name in bundle.namelist()}
    assert set(contents) == {"findings.json", "versions.json", "recording.jsonl"}
    assert all(name in printed for name in contents)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"sk-planted" not in b"".join(contents.values())
    assert b"Paris" not in b"".join(contents.values())
    (tmp_path / "recording.jsonl").write_bytes(contents["recording.jsonl"])
    prompts = {
        message["content"]
        for request in shared_emulator.requests
        if request.body
        for message in request.json.get("messages", ())
    }
    assert prompts
    assert len(bodies(tmp_path / "recording.jsonl")) >= len(prompts)
    for body in bodies(tmp_path / "recording.jsonl"):
        assert not any(prompt.encode() in body for prompt in prompts)


def test_the_time_to_hide_texts_is_linear_in_the_messages() -> None:
    """Of an AWS event stream, whose messages are read one after the other."""

    def cost(count: int) -> float:
        pieces = [encode_part(b'{"choices": []}')] * count
        started = time.process_time()
        hide_pieces(pieces, is_websocket=False)
        return time.process_time() - started

    assert is_linear(cost, 5_000)
