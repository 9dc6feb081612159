"""Guardrails in the core: results, the policy, redaction, windows of a stream, and clients that check."""

import json
import logging
import pickle
from contextlib import aclosing
from typing import Any

import pytest
from _guardrails import (
    CLEAN,
    INJECTION,
    REDACTED,
    UNSAFE,
    checks,
    core_guardrails,
    emulator,
    guarded_service,
    model_requests,
    shared_emulator,
)

from mdstream_core import (
    GuardrailPolicy,
    GuardrailResults,
    GuardrailViolation,
    MDStreamError,
    OpenAIChat,
    OpenAICompletions,
    TextDelta,
)
from mdstream_core.dialects import dialect
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import (
    ContentFiltered,
    InvalidRequest,
    MalformedStream,
    StreamFailure,
    StreamInterrupted,
)
from mdstream_core.events import Finish, Logprobs, PIIEntity, ReasoningDelta, merge_results
from mdstream_core.guardrails import GuardedOutput, GuardrailChecks
from mdstream_core.guardrails.redaction import locate_entities, redact
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import OCIGenerativeAI
from mdstream_core.service import Service

__all__ = ["emulator", "shared_emulator"]  # fixtures

SMALL: dict[str, Any] = {"window_size": 20, "max_window_size": 40, "overlap": 30}


def chat_call(service: Service, text: str, *, stream: bool = True, **params: Any) -> Any:
    return service.call(OpenAIChat(), {"messages": [{"role": "user", "content": text}], **params}, stream=stream)


def read(service: Service, text: str, **params: Any) -> tuple[str, MDStreamError | None]:
    """The text that was received, and the error that ended it."""
    received: list[str] = []
    try:
        for event in service.client.stream(chat_call(service, text, **params)):
            received += [event.text] if isinstance(event, TextDelta) else []
    except MDStreamError as error:
        return "".join(received), error
    return "".join(received), None


async def aread(service: Service, text: str, **params: Any) -> tuple[str, MDStreamError | None]:
    received: list[str] = []
    try:
        async with aclosing(service.async_client.stream(chat_call(service, text, **params))) as events:
            async for event in events:
                received += [event.text] if isinstance(event, TextDelta) else []
    except MDStreamError as error:
        return "".join(received), error
    return "".join(received), None


# Results


def test_results_have_the_attributes_of_the_sdk(emulator: Emulator) -> None:
    """Categories with scores, entities with offsets, and the score of prompt injection."""
    results = core_guardrails(emulator).apply(f"{INJECTION} Mail jane@x.org.")

    assert results.prompt_injection is not None
    assert 1.0 == results.prompt_injection.score
    assert results.content_moderation is not None
    assert [("OVERALL", 0.0), ("BLOCKLIST", 0.0)] == [
        (it.name, it.score) for it in results.content_moderation.categories
    ]
    (entity,) = results.personally_identifiable_information or ()
    assert ("EMAIL", "jane@x.org") == (entity.label, f"{INJECTION} Mail jane@x.org."[entity.offset : entity.end])
    assert "1.0.1" == results.guardrail_version
    assert "jane" not in repr(results)
    assert "jane" not in str(results.to_dict())


def test_only_the_requested_checks_are_made(emulator: Emulator) -> None:
    """The others are `None`."""
    requested = GuardrailChecks(content_moderation=False, prompt_injection=False, pii_types=("EMAIL",))
    results = core_guardrails(emulator, checks=requested).apply("Call +44 20 7946 0958 or mail jane@x.org.")

    assert (None, None) == (results.content_moderation, results.prompt_injection)
    assert ["EMAIL"] == [entity.label for entity in results.personally_identifiable_information or ()]


@pytest.mark.parametrize(
    "results",
    [
        {"contentModeration": {"categories": [{"name": "OVERALL"}]}},
        {"contentModeration": {"categories": [{"name": "OVERALL", "score": "high"}]}},
        {"promptInjection": {"score": True}},
        {"promptInjection": []},
        {"personallyIdentifiableInformation": [{"label": "EMAIL", "offset": -1, "length": 2, "score": 1}]},
        {"personallyIdentifiableInformation": 5},
        [],
    ],
)
def test_a_response_of_another_shape_is_an_error(results: Any) -> None:
    """Never a text that passed."""
    decoder = dialect("oci-apply-guardrails").create_decoder()
    with pytest.raises(MalformedStream):
        decoder.feed(json.dumps({"results": results}).encode())


def test_a_long_text_is_checked_in_pieces(emulator: Emulator) -> None:
    """Which overlap; offsets are those of the whole text, and each entity is found once."""
    guardrails = core_guardrails(emulator, max_text_chars=300)
    text = f"{'a ' * 140}jane@x.org {'b ' * 300}{INJECTION} {'c ' * 100}john@x.org"
    results = guardrails.apply(text)

    entities = results.personally_identifiable_information or ()
    assert ["jane@x.org", "john@x.org"] == [text[entity.offset : entity.end] for entity in entities]
    assert results.prompt_injection is not None
    assert 1.0 == results.prompt_injection.score
    assert max(map(len, checks(emulator))) == 300
    assert text.startswith(checks(emulator)[0])
    assert text.endswith(checks(emulator)[-1])


def test_merged_results_have_the_highest_scores() -> None:
    """Of each category."""
    results = [
        {"contentModeration": {"categories": [{"name": "OVERALL", "score": score}]}} for score in (0.1, 0.9, 0.2)
    ]
    merged = merge_results((0, GuardrailResults.from_dict(one)) for one in results)

    assert merged.content_moderation is not None
    assert [0.9] == [category.score for category in merged.content_moderation.categories]


def test_no_checks_are_an_error() -> None:
    """The service rejects a request without one."""
    with pytest.raises(ValueError, match="no guardrails are enabled"):
        GuardrailChecks(content_moderation=False, pii_detection=False, prompt_injection=False)


# Redaction

EMOJI = "😀 Müller: jane@x.org"


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (EMOJI.index("jane"), 10),
        (len(EMOJI[: EMOJI.index("jane")].encode("utf-16-le")) // 2, 10),
        (len(EMOJI[: EMOJI.index("jane")].encode()), 10),
        (0, 3),
    ],
    ids=["characters", "UTF-16", "UTF-8", "wrong"],
)
def test_offsets_in_any_unit_lead_to_the_text(offset: int, length: int) -> None:
    """The entity's own text decides; a wrong offset is corrected by a search."""
    entity = PIIEntity("EMAIL", offset, length, 1.0, "jane@x.org")
    located = locate_entities(EMOJI, GuardrailResults(personally_identifiable_information=(entity,)))

    assert ["😀 Müller: [REDACTED_EMAIL]"] == GuardrailPolicy(pii="redact").enforce([EMOJI], located, "input")


def test_information_that_cannot_be_redacted_is_a_violation() -> None:
    """Its text is nowhere in the text that was checked."""
    entity = PIIEntity("EMAIL", 50, 10, 1.0, "other@x.org")
    with pytest.raises(GuardrailViolation, match="pii that could not be redacted: EMAIL"):
        GuardrailPolicy(pii="redact").enforce(
            [EMOJI], GuardrailResults(personally_identifiable_information=(entity,)), "input"
        )


def test_overlapping_spans_are_redacted_once() -> None:
    """The later one adds nothing that the first has."""
    assert "a [REDACTED_X] e" == redact("a bcd e", 0, [(2, 4, "X"), (3, 5, "Y")])


def test_texts_that_are_checked_together_are_redacted_apart() -> None:
    """Offsets are those of the joined text."""
    results = locate_entities(
        "a@b.org\n\nnothing\n\nc@d.org",
        GuardrailResults(
            personally_identifiable_information=(
                PIIEntity("EMAIL", 0, 7, 1.0, "a@b.org"),
                PIIEntity("EMAIL", 18, 7, 1.0, "c@d.org"),
            )
        ),
    )
    texts = GuardrailPolicy(pii="redact").enforce(["a@b.org", "nothing", "c@d.org"], results, "input")

    assert ["[REDACTED_EMAIL]", "nothing", "[REDACTED_EMAIL]"] == texts


# The policy


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"pii": "remove"}, "pii='remove' is unknown"),
        ({"prompt_injection_threshold": 2}, "is no score"),
        ({"window_size": 0}, "too small"),
        ({"window_size": 50, "max_window_size": 20}, "too small"),
        ({"pii": "redact", "hold_back": False}, "needs hold_back"),
    ],
)
def test_an_invalid_policy_is_an_error(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        GuardrailPolicy(**fields)


def test_thresholds_decide_what_is_a_violation() -> None:
    """A score that reaches the threshold is one."""
    results = GuardrailResults.from_dict({"promptInjection": {"score": 0.6}})

    assert ("prompt_injection score=0.60",) == GuardrailPolicy().find_violations(results)
    assert () == GuardrailPolicy(prompt_injection_threshold=0.7).find_violations(results)


def test_a_violation_has_its_facts_and_can_be_pickled(emulator: Emulator) -> None:
    """Results, violations and location; it is final."""
    with pytest.raises(GuardrailViolation) as caught:
        core_guardrails(emulator).check([INJECTION])
    error = pickle.loads(pickle.dumps(caught.value))

    assert ("input", ("prompt_injection score=1.00",), False) == (error.location, error.violations, error.retryable)
    assert 1.0 == error.results.prompt_injection.score
    assert str(caught.value) == str(error)


# Requests


def test_requests_are_retried_and_signed_like_others(emulator: Emulator) -> None:
    """A transient error is retried; the route, the compartment and the checks are the service's."""
    emulator.script(Fault("refuse", "lb_bandwidth"), None)
    core_guardrails(emulator).check(["Hello."])

    assert 2 == len(emulator.requests)
    assert "/20231130/actions/applyGuardrails" == emulator.last.path
    assert {
        "compartmentId": emulator.oci_genai.compartment_id,
        "guardrailConfigs": {
            "contentModerationConfig": {},
            "personallyIdentifiableInformationConfig": {},
            "promptInjectionConfig": {},
        },
        "input": {"type": "TEXT", "content": "Hello."},
    } == emulator.last.json


@pytest.mark.parametrize("texts", [[""], ["  ", "\n"], []])
def test_an_empty_text_is_not_sent(emulator: Emulator, texts: list[str]) -> None:
    """There is nothing to check."""
    assert texts == core_guardrails(emulator).check(texts)
    assert [] == emulator.requests


def test_a_blocking_endpoint_is_a_content_filter() -> None:
    """The message of a dedicated endpoint whose guardrails block."""
    platform = OCIGenerativeAI("ocid1.compartment.oc1..a", region="us-chicago-1")
    error = platform.parse_error(ResponseHead(400), b'{"code": "400", "message": "Inappropriate content detected!"}')

    assert isinstance(error, ContentFiltered)


# Outputs


@pytest.mark.parametrize("text", ["private", "clean"])
@pytest.mark.parametrize("size", [1, 7, 20, 50, 1000])
async def test_a_stream_is_redacted_whatever_the_windows(emulator: Emulator, text: str, size: int) -> None:
    """As the whole output is, sync and async."""
    service = guarded_service(emulator, pii="redact", window_size=size, max_window_size=max(size, 60), overlap=30)
    expected = {"private": REDACTED, "clean": CLEAN}[text]
    whole = service.client.complete(chat_call(service, text, stream=False))

    assert (expected, None) == read(service, text)
    assert (expected, None) == await aread(service, text)
    assert (expected, "stop") == (whole.text, whole.finish_reason)


async def test_a_stream_is_stopped_at_a_violation(emulator: Emulator) -> None:
    """`partial` is what passed; nothing of the violation was delivered. Sync and async."""
    service = guarded_service(emulator, **SMALL)
    for received, error in (read(service, "unsafe"), await aread(service, "unsafe")):
        assert isinstance(error, GuardrailViolation)
        assert ("output", ("content_moderation:OVERALL score=1.00",)) == (error.location, error.violations)
        assert error.partial is not None
        assert received == error.partial.text
        assert CLEAN[:40] == received[:40]
        assert "kill" not in received
        assert UNSAFE.startswith(received)
        assert error.response is not None
        assert received == error.response.json()["partial"]["text"]


def test_windows_grow(emulator: Emulator) -> None:
    """Each is twice as long as the one before, up to the maximum; the overlap is checked twice."""
    service = guarded_service(emulator, window_size=10, max_window_size=40, overlap=5, check_input=False)
    read(service, "clean")

    assert all(CLEAN.find(text) >= 0 for text in checks(emulator))
    sizes = [CLEAN.index(text) + len(text) for text in checks(emulator)]
    assert sorted(sizes) == sizes
    assert 4 <= len(sizes) <= 6
    assert CLEAN.endswith(checks(emulator)[-1])


def test_text_is_delivered_at_once_if_it_is_not_held_back(emulator: Emulator) -> None:
    """The violation was delivered, the rest is not; the finish reason of an unchecked output is held back."""
    service = guarded_service(emulator, hold_back=False, **SMALL)
    received, error = read(service, "unsafe")

    assert isinstance(error, GuardrailViolation)
    assert error.partial is not None
    assert received == error.partial.text
    assert "kill you" in received
    assert len(received) < len(UNSAFE)
    assert None is error.partial.finish_reason


def test_the_connection_is_closed_at_a_violation() -> None:
    """While the model still writes."""
    with Emulator(model=lambda request: UNSAFE + " more" * 2000, delay=0.01) as emulator:
        service = guarded_service(emulator, check_input=False, **SMALL)
        _, error = read(service, "story")
        (request,) = model_requests(emulator)

        assert isinstance(error, GuardrailViolation)
        assert request.client_closed.wait(10)
        assert not request.response_sent.is_set()


def test_a_stream_that_fails_keeps_what_passed(emulator: Emulator) -> None:
    """The held text is checked and delivered before the model's error, whose partial has no unchecked text."""
    service = guarded_service(emulator, pii="redact", check_input=False, window_size=1000)
    emulator.script(Fault("trailer"))
    received, error = read(service, "private")

    assert isinstance(error, StreamFailure)
    assert REDACTED == received
    assert error.partial is not None
    assert REDACTED == error.partial.text
    assert error.response is not None
    assert "jane" not in str(error.response.json())


def test_a_violation_in_the_end_of_an_interrupted_stream(emulator: Emulator) -> None:
    """It wins, and has the interruption as its cause."""
    service = guarded_service(emulator, check_input=False, window_size=1000)
    emulator.script(Fault("cut", after=45))
    received, error = read(service, "unsafe")

    assert isinstance(error, GuardrailViolation)
    assert isinstance(error.__cause__, StreamInterrupted)
    assert ("", None) == (received, error.partial)


@pytest.mark.parametrize("stream", [True, False])
def test_a_text_that_could_not_be_checked_does_not_pass(emulator: Emulator, stream: bool) -> None:
    """The error of the guardrails is raised, with what had passed before."""
    service = guarded_service(emulator, check_input=False, **SMALL)
    emulator.script(None, Fault("refuse", "invalid_parameter"))
    if not stream:
        with pytest.raises(MDStreamError, match="the output could not be checked"):
            service.client.complete(chat_call(service, "clean", stream=False))
        return
    received, error = read(service, "clean")

    assert isinstance(error, InvalidRequest)
    assert "the output could not be checked by guardrails" in str(error)
    assert ("", None) == (received, error.partial)


def test_reasoning_is_checked_too() -> None:
    """Each kind of text is a channel of its own, and the order of events is kept."""
    output = GuardedOutput(GuardrailPolicy(window_size=5, overlap=0))
    for event in (ReasoningDelta("think"), TextDelta("text"), ReasoningDelta("more"), Finish("stop")):
        assert [] == output.add(event)
    assert output.is_due
    channels = output.unchecked()
    assert ["thinkmore", "text"] == [channel.text() for channel in channels]
    for channel in channels:
        output.record(channel, GuardrailResults())

    assert [ReasoningDelta("think"), TextDelta("text"), ReasoningDelta("more"), Finish("stop")] == output.release(
        final=True
    )


def test_log_probabilities_are_left_out_where_text_is_redacted() -> None:
    """They repeat the text, token by token."""
    event = Logprobs([{"token": "jane"}])

    assert [] == GuardedOutput(GuardrailPolicy(pii="redact")).add(event)
    assert [event] == GuardedOutput(GuardrailPolicy()).add(event)


def test_memory_is_bounded() -> None:
    """Of a long output only the last windows are kept."""
    output = GuardedOutput(GuardrailPolicy(window_size=10, max_window_size=100, overlap=10))
    longest = 0
    for _ in range(5000):
        output.add(TextDelta("some words "))
        if output.is_due:
            for channel in output.unchecked():
                longest = max(longest, len(channel.text()))
                output.record(channel, GuardrailResults())
            output.release()

    assert longest <= 400
    assert 55_000 - 150 <= len(output.response().text) <= 55_000


# Inputs


async def test_an_input_is_checked_before_it_is_sent(emulator: Emulator) -> None:
    """Nothing reaches the model; sync and async."""
    service = guarded_service(emulator)
    for received, error in (read(service, INJECTION), await aread(service, INJECTION)):
        assert isinstance(error, GuardrailViolation)
        assert ("", "input", None) == (received, error.location, error.partial)

    assert [] == model_requests(emulator)


def test_an_input_is_redacted_in_the_request(emulator: Emulator) -> None:
    """Of the whole conversation, in texts and in parts."""
    service = guarded_service(emulator, pii="redact")
    messages = [
        {"role": "system", "content": "Mail boss@x.org."},
        {"role": "user", "content": "I am jane@x.org."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [{"type": "text", "text": "Call +44 20 7946 0958."}]},
    ]
    service.client.complete(service.call(OpenAIChat(), {"messages": messages}, stream=False))
    sent = model_requests(emulator)[0].json["messages"]

    assert ["Mail boss@x.org.", "I am [REDACTED_EMAIL].", "Hello."] == [message["content"] for message in sent[:3]]
    assert [{"type": "text", "text": "Call [REDACTED_TELEPHONE_NUMBER]."}] == sent[3]["content"]
    assert "I am jane@x.org." == messages[1]["content"]


def test_only_new_messages_are_checked(emulator: Emulator) -> None:
    """Those since the model's last response; results of tools have a location of their own."""
    service = guarded_service(emulator, check_output=False)
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": INJECTION},
    ]
    with pytest.raises(GuardrailViolation) as caught:
        service.client.complete(service.call(OpenAIChat(), {"messages": messages}, stream=False))

    assert "tool result" == caught.value.location
    assert [INJECTION] == checks(emulator)


def test_a_prompt_of_a_completion_is_checked(emulator: Emulator) -> None:
    """Of the completions API."""
    service = guarded_service(emulator, pii="redact", check_output=False)
    service.client.complete(service.call(OpenAICompletions(), {"prompt": "I am jane@x.org."}, stream=False))

    assert "I am [REDACTED_EMAIL]." == model_requests(emulator)[0].json["prompt"]


def test_calls_that_generate_nothing_are_not_checked(emulator: Emulator) -> None:
    """Counting tokens."""
    service = guarded_service(emulator)
    service.client.complete(service.call(dialect("tokenize"), {"prompt": INJECTION}, stream=False))

    assert [] == checks(emulator)


def test_logs_have_no_texts(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """A violation is a warning with its location and what was found."""
    caplog.set_level(logging.DEBUG, "mdstream")
    service = guarded_service(emulator, pii="block", check_input=False)
    read(service, "private")
    core_guardrails(emulator).check(["Hello."])
    (record,) = [record for record in caplog.records if record.name == "mdstream.guardrails"]

    assert "guardrails blocked the output: pii entities=2: EMAIL, TELEPHONE_NUMBER" == record.getMessage()
    assert record.levelno == logging.WARNING
    assert [] == [text for text in ("jane", "7946", "castle", "Hello.") if text in caplog.text]
