"""The emulated `/v1/responses`: recordings of real servers, and faults, read without mdstream's decoders."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _emulator_quirks import ARGUMENTS, GRIN, built_in_model, join_surrogates
from _raw_client import RawResponse, send_request

from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model_server.responses import is_responses_request
from mdstream_core.emulator.model_server.responses._store import ResponseStore

Json = dict[str, Any]
SAMPLES = Path(__file__).parent / "samples"
REQUEST: Json = {"model": "odsc-llm", "input": "What is the capital of France?", "temperature": 0.0}
CAPITAL = "The capital of France is Paris."
WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "note": {"type": "string"}}},
}
CALL: Json = {"model": "odsc-llm", "input": "What is the weather in Paris?", "temperature": 0.0, "tools": [WEATHER]}

PARAMETERS: Json = {**WEATHER["parameters"], "required": ["city"]}  # the recorded request has no `required`
CALL_PARIS: Json = {**CALL, "tools": [{**WEATHER, "parameters": PARAMETERS}]}


@pytest.fixture(scope="module", params=["vllm", "vllm-0.13", "transformers"])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(flavour=request.param) as emulator:
        yield emulator


def send(emulator: Emulator, *faults: Fault, **params: Any) -> RawResponse:
    """Send a request to the server alone."""
    emulator.reset()
    emulator.script(faults or None)
    return send_request(f"{emulator.openai_url}/responses", {**REQUEST, "stream": True, **params})


def text(response: RawResponse) -> str:
    return "".join(e["delta"] for e in response.events if e["type"] == "response.output_text.delta")


def kinds(response: RawResponse) -> list[str]:
    return [event["type"] for event in response.events]


# Recordings


def shape(value: Any) -> Any:
    """Return a value with its texts and numbers replaced by their types: the fields and their order remain."""
    match value:
        case dict():
            return {name: shape(item) if name != "type" else item for name, item in value.items()}
        case list():
            return [shape(item) for item in value]
    return type(value).__name__


def recorded_events(sample: str) -> tuple[list[Json], bool]:
    """Return the events of a recording, and whether they have names."""
    body = (SAMPLES / f"{sample}.txt").read_text().replace("\r\n", "\n").partition("\n\n")[2]
    lines = body.split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")], "event: response.created" in lines


@pytest.mark.parametrize("flavour", ["vllm", "transformers"])
@pytest.mark.parametrize(("name", "request_"), [("responses", REQUEST), ("responses-tool", CALL)], ids=["text", "call"])
def test_events_have_the_shape_of_the_recorded_ones(flavour: str, name: str, request_: Json) -> None:
    """
    The same events in the same order, each with the same fields in the same order, after repeated deltas are merged.
    """
    expected, is_named = recorded_events(f"{flavour}-{name}")
    with Emulator(flavour=flavour) as emulator:
        response = send(emulator, **request_)

    def merge(events: list[Json]) -> list[str]:
        shapes = [json.dumps(shape(event)) for event in events]
        return [item for item, before in zip(shapes, [None, *shapes], strict=False) if item != before]

    assert is_named == (b"event: response.created" in response.body)
    assert merge(expected) == merge(response.events)


def test_servers_without_the_route_have_none() -> None:
    """
    As recorded from llama-cpp-python.
    """
    with Emulator(flavour="llamacpp") as emulator:
        assert (404, {"detail": "Not Found"}) == (send(emulator).status, send(emulator).json)


# Faults


def test_interruptions(emulator: Emulator) -> None:
    """
    Each leaves out the terminal event; a whole response lacks its status.
    """
    for fault in (Fault("no_finish"), Fault("early_done"), Fault("cut", after=5), Fault("trailer", after=5)):
        assert not {"response.completed", "response.incomplete"} & set(kinds(send(emulator, fault)))
    assert "status" not in send(emulator, Fault("no_finish"), stream=False).json


def test_errors_in_the_stream(emulator: Emulator) -> None:
    """
    Of the API's own formats, and an error object inside a response.
    """
    assert "error" == kinds(send(emulator, Fault("error_event")))[-1]
    assert "response.failed" == kinds(send(emulator, Fault("error_event", "responses-failed")))[-1]
    assert "response.failed" == kinds(send(emulator, Fault("choice_error")))[-1]
    with_stop = send(emulator, Fault("choice_error", "with_stop")).events[-1]
    assert ("response.completed", "server_error") == (with_stop["type"], with_stop["response"]["error"]["code"])
    later = kinds(send(emulator, Fault("choice_error", "later_stop", after=4)))
    assert ("error", "response.completed") == (later[4], later[-1])
    assert "failed" == send(emulator, Fault("choice_error"), stream=False).json["status"]


@pytest.mark.parametrize(
    ("reason", "status", "detail"),
    [("content_filter", "incomplete", "content_filter"), ("length", "incomplete", "max_output_tokens"),
     ("error", "failed", None), ("abort", "cancelled", None)],
)  # fmt: skip
def test_finish_reasons(emulator: Emulator, reason: str, status: str, detail: str | None) -> None:
    """
    The terminal event and a whole response get another status.
    """
    end = send(emulator, Fault("finish_reason", reason)).events[-1]
    for response in (end["response"], send(emulator, Fault("finish_reason", reason), stream=False).json):
        assert (status, detail) == (response["status"], (response.get("incomplete_details") or {}).get("reason"))
    assert f"response.{status}" == end["type"]


def test_usage_is_missing(emulator: Emulator) -> None:
    assert send(emulator).events[-1]["response"]["usage"]
    assert send(emulator, Fault("usage_missing")).events[-1]["response"]["usage"] is None


def _last_arguments(response: RawResponse) -> set[str]:
    """Return the arguments wherever a stream has them as a whole, and those of its deltas."""
    deltas = "".join(e["delta"] for e in response.events if e["type"].endswith("arguments.delta"))
    done = [e["arguments"] for e in response.events if e["type"].endswith("arguments.done")]
    items = [e["item"]["arguments"] for e in response.events if e["type"].endswith("item.done") and "arguments" in e["item"]]  # fmt: skip
    output = [item["arguments"] for item in response.events[-1]["response"]["output"] if "arguments" in item]
    return {*done, *items, *output, *([deltas] if deltas else [])}


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [("", '{"city": "Paris"]'), ("two_objects", '{"city": "Paris"}{"to":"Bob"}'), ("number", "7")],
)
def test_tool_arguments(emulator: Emulator, spelling: str, expected: str) -> None:
    """
    Changed in deltas and wherever they are repeated.
    """
    assert {expected} == _last_arguments(send(emulator, Fault("tool_arguments", spelling), **CALL_PARIS))


CHANGES: dict[str, Callable[[RawResponse], bool]] = {
    "no_deltas": lambda r: text(r) == "" and CAPITAL in json.dumps(r.events[-1]),
    "only_ends": lambda r: ["response.created", "response.completed"] == kinds(r),
    "no_output": lambda r: text(r) == CAPITAL and r.events[-1]["response"]["output"] == [],
    "no_done": lambda r: text(r) == CAPITAL and not any(kind.endswith(".done") for kind in kinds(r)),
    "other_text": lambda r: text(r) == CAPITAL and CAPITAL not in json.dumps(r.events[-1]),
    "unknown_events": lambda r: text(r) == CAPITAL and "response.unheard_of" in kinds(r),
    "still_running": lambda r: r.events[-1]["response"]["status"] == "in_progress",
}


@pytest.mark.parametrize("spelling", CHANGES)
def test_streams_of_other_servers(emulator: Emulator, spelling: str) -> None:
    """
    With consecutive numbers; a response without a stream is unchanged.
    """
    response = send(emulator, Fault("responses_events", spelling))

    assert CHANGES[spelling](response)
    assert list(range(len(response.events))) == [event["sequence_number"] for event in response.events]
    assert "completed" == send(emulator, Fault("responses_events", spelling), stream=False).json["status"]


def test_surrogates_are_split() -> None:
    """
    In the deltas of texts and arguments.
    """
    with Emulator(model=built_in_model) as emulator:
        response = send(emulator, Fault("split_surrogates"))
        call = send(emulator, Fault("split_surrogates"), **CALL)
    deltas = [e["delta"] for e in response.events if e["type"] == "response.output_text.delta"]
    arguments = [e["delta"] for e in call.events if e["type"].endswith("arguments.delta") and e["output_index"] == 0]

    assert GRIN not in "".join(deltas)
    assert (f"Hi {GRIN} you{GRIN}!", ARGUMENTS) == (join_surrogates(deltas), join_surrogates(arguments))


@pytest.mark.parametrize("kind", ["bytewise", "crlf", "mixed", "bom", "keepalive_comments", "huge_line", "bad_utf8"])
def test_faults_of_the_bytes_apply(emulator: Emulator, kind: str) -> None:
    """
    As to any other stream.
    """
    assert 200 == send(emulator, Fault(kind, size=20)).status
    assert CAPITAL == json.loads(send(emulator, Fault("json_body")).body)["output"][0]["content"][0]["text"]


# Routing and the store


def test_a_deployment_infers_the_route() -> None:
    """
    From fields that a request for embeddings does not have.
    """
    with Emulator(default_route="auto") as emulator:
        whole = send_request(f"{emulator.endpoint}/predict", {**REQUEST, "instructions": "Be brief."}).json
        vectors = send_request(f"{emulator.endpoint}/predict", {"model": "m", "input": ["a river"]}).json

    assert ("response", "list") == (whole["object"], vectors["object"])
    assert [True, True, False, False] == [
        is_responses_request(request)
        for request in ({"input": [{"role": "user"}]}, {"input": "a", "store": False}, {"input": "a"}, {"messages": []})
    ]


def test_the_store_is_bounded() -> None:
    """
    The oldest entries are dropped, by number and by size.
    """
    store = ResponseStore()
    for number in range(1_100):
        store.put({"id": f"resp_{number}"}, ({"id": f"msg_{number}"},), 1)
    assert (None, True) == (store.get("resp_0"), store.get("resp_1099") is not None)
    store.put({"id": "resp_big"}, ({"text": "x" * 40_000_000},), 1)
    assert [None, True] == [store.get("resp_1099"), store.get("resp_big") is not None]
