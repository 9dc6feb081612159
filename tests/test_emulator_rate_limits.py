"""Rate limits of the emulator: each service's own error response, three algorithms, scopes, validation."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from _raw_client import RawResponse, send_request
from test_emulator_services import SERVICES as PLATFORMS
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mdstream_core import Retry, Service, errors
from mdstream_core.dialects import dialect
from mdstream_core.emulator import Emulator, Fault, RequestRateLimit

#: A rate at which no second request is accepted while a test runs, however slow the machine is.
ONE_PER_HOUR = 1 / 3600
CHAT = {"messages": [{"role": "user", "content": "Hello"}]}
ON_DEMAND = {"servingType": "ON_DEMAND", "modelId": "cohere.embed-english-v3.0"}


class ManualClock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def embed_request(emulator: Emulator, model: str = ON_DEMAND["modelId"]) -> dict[str, Any]:
    """A request for embeddings in OCI Generative AI's format."""
    mode = {**ON_DEMAND, "modelId": model}
    return {"compartmentId": emulator.oci_genai.compartment_id, "servingMode": mode, "inputs": ["a text"]}


def post_sagemaker(emulator: Emulator, name: str = "emulated", **headers: str) -> RawResponse:
    return send_request(f"{emulator.url}/endpoints/{name}/invocations", {**CHAT, "inputs": "Hello"}, **headers)


def post_maas(emulator: Emulator, model: str = "one", **headers: str) -> RawResponse:
    return send_request(f"{emulator.modelarts.maas}/chat/completions", {**CHAT, "model": model}, **headers)


def post_openai(emulator: Emulator, model: str = "one", **headers: str) -> RawResponse:
    return send_request(f"{emulator.openai_url}/chat/completions", {**CHAT, "model": model}, **headers)


#: Service to a function that sends it one request.
SEND: dict[str, Callable[[Emulator], RawResponse]] = {
    "oci-model-deployment": lambda emulator: send_request(f"{emulator.endpoint}/predict", CHAT),
    "oci-genai": lambda emulator: send_request(
        f"{emulator.url}/20231130/actions/embedText", embed_request(emulator)
    ),
    "sagemaker": post_sagemaker,
    "modelarts": lambda emulator: send_request(f"{emulator.modelarts.endpoint}/v1/chat/completions", CHAT),
    "maas": post_maas,
    "openai-compatible": post_openai,
}  # fmt: skip

#: Service to the status, a header that its error responses have, and the code in the error response of each scope.
REJECTIONS = {
    "oci-model-deployment": (429, "opc-request-id", {"tenancy": "Tenancy request-rate", "endpoint": "LB bandwidth"}),
    "oci-genai": (429, "opc-request-id", dict.fromkeys(("tenancy", "endpoint"), '"code":"TooManyRequests"')),
    "sagemaker": (400, "x-amzn-requestid", dict.fromkeys(("tenancy", "endpoint"), '"Message":"Rate exceeded"')),
    "modelarts": (429, "x-request-id", {"tenancy": "APIG.0308", "endpoint": "ModelArts.4206"}),
    "maas": (429, "x-request-id", dict.fromkeys(("tenancy", "endpoint"), "ModelArts.81101")),
    "openai-compatible": (429, "date", dict.fromkeys(("tenancy", "endpoint"), '"code":"rate_limit_exceeded"')),
}


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    shared_emulator.reset()
    return shared_emulator


def is_accepted(emulator: Emulator) -> bool:
    """Send the cheapest request; return whether it was within the rate."""
    return send_request(f"{emulator.openai_url}/models", method="GET").status == 200


def count_accepted(emulator: Emulator, count: int) -> int:
    return sum(is_accepted(emulator) for _ in range(count))


# ---------------------------------------------------------------------------------------------- error responses


@pytest.mark.parametrize("scope", ["tenancy", "endpoint"])
@pytest.mark.parametrize("service", SEND)
def test_a_request_above_the_rate_gets_the_error_of_the_service(emulator: Emulator, service: str, scope: Any) -> None:
    """The first three are accepted, the fourth is rejected, without a `Retry-After`, and nothing is generated."""
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR, burst=3, scope=scope)]
    status, header, codes = REJECTIONS[service]

    responses = [SEND[service](emulator) for _ in range(4)]
    rejected = responses[-1]

    assert [200, 200, 200, status] == [response.status for response in responses]
    assert codes[scope] in json.dumps(rejected.json, separators=(",", ":"))
    assert header in rejected.headers
    assert "retry-after" not in rejected.headers
    assert [service] * 4 == [entry.service for entry in emulator.ledger.entries]
    assert (3, 1) == (emulator.ledger.accepted_count, emulator.ledger.rejected_count)


def test_sagemaker_has_its_code_in_a_header(emulator: Emulator) -> None:
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR)]
    post_sagemaker(emulator)

    assert "ThrottlingException" == post_sagemaker(emulator).headers["x-amzn-errortype"]


@pytest.mark.parametrize("name", PLATFORMS)
def test_clients_report_a_rate_limit(emulator: Emulator, name: str) -> None:
    """On every platform and API format, the rejected request raises `RateLimited`."""
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR, retry_after=7)]
    platform, dialect_name = PLATFORMS[name]
    payload = {"messages": [{"role": "user", "content": "Hello"}]}
    with closing(Service(platform(emulator), retry=Retry(0), timeout=5, trust_env=False)) as service:
        list(service.client.stream(service.call(dialect(dialect_name), payload)))
        with pytest.raises(errors.RateLimited) as caught:
            list(service.client.stream(service.call(dialect(dialect_name), payload)))

    assert 7 == caught.value.retry_after
    assert (1, 1) == (emulator.ledger.accepted_count, emulator.ledger.rejected_count)


def test_a_websocket_is_rejected_at_the_handshake(emulator: Emulator) -> None:
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR, scope="endpoint")]
    url = f"{emulator.modelarts.websocket_endpoint}/v1/chat/completions"
    with connect(url):
        pass

    with pytest.raises(InvalidStatus) as caught, connect(url):
        pass

    assert 429 == caught.value.response.status_code
    assert b"ModelArts.4206" in (caught.value.response.body or b"")


@pytest.mark.parametrize(("seconds", "header"), [(0, "0"), (2, "2"), (1.5, "1.5"), (86_400.0, "86400")])
def test_a_fixed_retry_after(emulator: Emulator, seconds: float, header: str) -> None:
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR, retry_after=seconds)]
    post_openai(emulator)

    assert header == post_openai(emulator).headers["retry-after"]


@pytest.mark.parametrize("algorithm", ["token_bucket", "fixed_window", "sliding_window"])
def test_an_exact_retry_after_is_rounded_up(algorithm: Any) -> None:
    clock = ManualClock()
    limit = RequestRateLimit(ONE_PER_HOUR, algorithm=algorithm, retry_after="exact")
    with Emulator(rate_limits=[limit], monotonic_clock=clock) as emulator:
        post_openai(emulator)
        first = post_openai(emulator)
        clock.now += 3000.5
        second = post_openai(emulator)
        clock.now += 600
        third = post_openai(emulator)

    assert ["3600", "600"] == [first.headers["retry-after"], second.headers["retry-after"]]
    assert 200 == third.status


# ---------------------------------------------------------------------------------------------- algorithms


def test_a_token_bucket_refills_continuously() -> None:
    clock = ManualClock()
    with Emulator(rate_limits=[RequestRateLimit(2, burst=4)], monotonic_clock=clock) as emulator:
        assert 4 == count_accepted(emulator, 5)
        clock.now += 0.25
        assert 0 == count_accepted(emulator, 1)
        clock.now += 0.25
        assert 1 == count_accepted(emulator, 2)
        clock.now += 100
        assert 4 == count_accepted(emulator, 5)


def test_a_fixed_window_accepts_twice_its_requests_around_its_end() -> None:
    clock = ManualClock()
    limit = RequestRateLimit(2, burst=4, algorithm="fixed_window")
    with Emulator(rate_limits=[limit], monotonic_clock=clock) as emulator:
        assert 1 == count_accepted(emulator, 1)
        clock.now += 1.5
        assert 3 == count_accepted(emulator, 4)
        clock.now += 0.5
        assert 4 == count_accepted(emulator, 5)
        clock.now += 7  # in the fourth window, which ends one second later
        assert 4 == count_accepted(emulator, 5)
        clock.now += 1
        assert 4 == count_accepted(emulator, 5)
        assert 8 == emulator.ledger.max_in_window(2.0, accepted=True)


def test_a_sliding_window_never_accepts_more_than_its_requests() -> None:
    clock = ManualClock()
    limit = RequestRateLimit(2, burst=4, algorithm="sliding_window")
    with Emulator(rate_limits=[limit], monotonic_clock=clock) as emulator:
        assert 1 == count_accepted(emulator, 1)
        clock.now += 1.5
        assert 3 == count_accepted(emulator, 4)
        clock.now += 0.5
        assert 1 == count_accepted(emulator, 5)
        clock.now += 1.5
        assert 3 == count_accepted(emulator, 5)
        assert 4 == emulator.ledger.max_in_window(2.0, accepted=True)


@pytest.mark.parametrize("algorithm", ["token_bucket", "fixed_window", "sliding_window"])
@pytest.mark.parametrize("rate", [0.3, 1, 7, 150])
def test_the_accepted_rate_is_the_limit(rate: float, algorithm: Any) -> None:
    """A client that sends four times as many requests gets the rate, within one burst."""
    clock = ManualClock()
    count = 120
    with Emulator(
        rate_limits=[RequestRateLimit(rate, burst=3, algorithm=algorithm)], monotonic_clock=clock
    ) as emulator:
        for _ in range(count):
            is_accepted(emulator)
            clock.now += 0.25 / rate
        accepted, rejected = emulator.ledger.accepted_count, emulator.ledger.rejected_count

    assert count / 4 <= accepted <= count / 4 + 3
    assert count == accepted + rejected


@pytest.mark.parametrize("algorithm", ["token_bucket", "fixed_window", "sliding_window"])
def test_threads_share_one_rate(emulator: Emulator, algorithm: Any) -> None:
    """Exactly the burst is accepted, however the requests of several clients interleave."""
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR, burst=20, algorithm=algorithm)]

    def send(client: str) -> None:
        for _ in range(25):
            send_request(f"{emulator.openai_url}/models", method="GET", user_agent=client)

    threads = [threading.Thread(target=send, args=(f"client-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (20, 80) == (emulator.ledger.accepted_count, emulator.ledger.rejected_count)
    assert {f"client-{number}": 25 for number in range(4)} == emulator.ledger.count_by("client")
    assert pytest.approx(1) == sum(emulator.ledger.shares().values())


# ---------------------------------------------------------------------------------------------- scopes


def test_services_are_counted_separately(emulator: Emulator) -> None:
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR)]

    assert [200] * 6 == [send(emulator).status for send in SEND.values()]
    assert all(send(emulator).status in {400, 429} for send in SEND.values())


def test_a_limit_of_one_service_is_not_that_of_the_others(emulator: Emulator) -> None:
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR, service="sagemaker")]

    assert [200, 400] == [post_sagemaker(emulator).status for _ in range(2)]
    assert [200, 200] == [post_openai(emulator).status for _ in range(2)]


@pytest.mark.parametrize("send", [post_sagemaker, post_maas, post_openai])
def test_endpoints_of_a_tenancy_are_counted_together(
    emulator: Emulator, send: Callable[[Emulator, str], RawResponse]
) -> None:
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR)]

    assert 200 == send(emulator, "tgi").status
    assert 200 != send(emulator, "lmi").status


@pytest.mark.parametrize("send", [post_sagemaker, post_maas, post_openai])
def test_endpoints_are_counted_separately_by_their_scope(
    emulator: Emulator, send: Callable[[Emulator, str], RawResponse]
) -> None:
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR, scope="endpoint")]

    assert [200, 200] == [send(emulator, name).status for name in ("tgi", "lmi")]
    assert 200 not in [send(emulator, name).status for name in ("tgi", "lmi")]
    assert {"tgi": 2, "lmi": 2} == emulator.ledger.count_by("endpoint")


def test_models_of_oci_generative_ai_are_endpoints(emulator: Emulator) -> None:
    """In Oracle's format and in OpenAI's; a request that names none is counted under an empty name."""
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR, scope="endpoint")]
    actions = f"{emulator.url}/20231130/actions"
    models = ["cohere.embed-english-v3.0", "cohere.embed-v4.0"]
    openai = {**CHAT, "model": "xai.grok-4"}
    dedicated = {"servingType": "DEDICATED", "endpointId": "ocid1.generativeaiendpoint.oc1..mine"}

    statuses = [
        *(send_request(f"{actions}/embedText", embed_request(emulator, model)).status for model in models),
        send_request(
            f"{emulator.url}/openai/v1/chat/completions",
            openai,
            opc_compartment_id=emulator.oci_genai.compartment_id,
        ).status,
        send_request(f"{actions}/embedText", {**embed_request(emulator), "servingMode": dedicated}).status,
        send_request(f"{actions}/embedText", b"[1]").status,
        send_request(f"{actions}/embedText", b"no JSON").status,
    ]

    assert [200, 200, 200, 200, 400, 429] == statuses
    assert [*models, "xai.grok-4", dedicated["endpointId"], "", ""] == [
        entry.endpoint for entry in emulator.ledger.entries
    ]


def test_all_limits_apply_and_a_rejected_request_counts_towards_none(emulator: Emulator) -> None:
    emulator.rate_limits = [
        RequestRateLimit(ONE_PER_HOUR, burst=2),
        RequestRateLimit(ONE_PER_HOUR, scope="endpoint", retry_after=1),
    ]

    responses = [post_sagemaker(emulator, name) for name in ("tgi", "tgi", "tgi", "lmi", "tei")]

    assert [200, 400, 400, 200, 400] == [response.status for response in responses]
    assert [False, True, True, False, False] == ["retry-after" in response.headers for response in responses]


def test_a_token_of_iam_is_not_counted(emulator: Emulator) -> None:
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR)]
    user = {"name": "me", "password": "mine", "domain": {"name": "us"}}
    auth = {"identity": {"password": {"user": user}}, "scope": {"project": {"name": "cn-north-4"}}}

    responses = [send_request(f"{emulator.modelarts.iam}/v3/auth/tokens", {"auth": auth}) for _ in range(3)]

    assert [201] * 3 == [response.status for response in responses]
    assert 0 == emulator.ledger.request_count


# ---------------------------------------------------------------------------------------------- changes


def test_limits_change_while_the_emulator_runs(emulator: Emulator) -> None:
    """New limits count from zero; without any, everything is accepted again."""
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR)]
    assert 1 == count_accepted(emulator, 2)
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR, burst=2)]
    assert 2 == count_accepted(emulator, 3)
    emulator.rate_limits = []
    assert 3 == count_accepted(emulator, 3)

    assert (6, 2) == (emulator.ledger.accepted_count, emulator.ledger.rejected_count)


def test_reset_restores_the_limits_of_the_constructor() -> None:
    limits = (RequestRateLimit(ONE_PER_HOUR, burst=2),)
    with Emulator(rate_limits=limits) as emulator:
        assert 2 == count_accepted(emulator, 3)
        emulator.rate_limits = []
        emulator.reset()

        assert limits == emulator.rate_limits
        assert 0 == emulator.ledger.request_count
        assert 2 == count_accepted(emulator, 3)


def test_a_rejected_request_takes_no_step_and_calls_no_model() -> None:
    """It is recorded; faults apply to accepted requests only."""
    prompts: list[str] = []

    def model(request: dict[str, Any]) -> str:
        prompts.append(request["messages"][-1]["content"])
        return "Hello."

    with Emulator(model=model, rate_limits=[RequestRateLimit(ONE_PER_HOUR, burst=2)]) as emulator:
        emulator.script(None, Fault("refuse", "unavailable"), Fault("refuse", "internal"))
        emulator.always(Fault("drop"))
        statuses = [post_openai(emulator).status for _ in range(4)]
        emulator.rate_limits = []
        statuses.append(post_openai(emulator).status)

        assert [200, 503, 429, 429, 500] == statuses
        assert ["Hello"] * 3 == prompts
        assert 5 == len(emulator.requests)


def test_many_endpoints_take_bounded_memory(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the maximum, the counter of the oldest endpoint is dropped; the others stay exact."""
    monkeypatch.setattr("mdstream_core.emulator._rate_limits._MAX_COUNTED_ENDPOINTS", 3)
    emulator.rate_limits = [RequestRateLimit(ONE_PER_HOUR, scope="endpoint")]

    assert [200] * 4 == [post_openai(emulator, model).status for model in "abcd"]
    assert [429] * 3 == [post_openai(emulator, model).status for model in "bcd"]
    assert 200 == post_openai(emulator, "a").status


# ---------------------------------------------------------------------------------------------- validation

VALID = RequestRateLimit(150)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"requests_per_second": 0}, ValueError, "requests_per_second=0 is out of range (hint: pass more than 0"),
        ({"requests_per_second": -1.5}, ValueError, "requests_per_second=-1.5 is out of range"),
        ({"requests_per_second": float("nan")}, ValueError, "requests_per_second=nan is out of range"),
        ({"requests_per_second": float("inf")}, ValueError, "requests_per_second=inf is out of range"),
        ({"requests_per_second": 1e-300}, ValueError, "requests_per_second=1e-300 is out of range"),
        ({"requests_per_second": "150"}, TypeError, "requests_per_second='150' is not a number"),
        ({"requests_per_second": True}, TypeError, "requests_per_second=True is not a number"),
        ({"burst": 0}, ValueError, "burst=0 is out of range (hint: pass how many requests"),
        ({"burst": 100_001}, ValueError, "burst=100001 is out of range"),
        ({"burst": 1.5}, TypeError, "burst=1.5 is not a whole number"),
        ({"burst": True}, TypeError, "burst=True is not a whole number"),
        ({"scope": "region"}, ValueError, "scope='region' is unknown (hint: use one of tenancy, endpoint)"),
        ({"scope": None}, ValueError, "scope=None is unknown"),
        ({"algorithm": "gcra"}, ValueError, "algorithm='gcra' is unknown (hint: use one of token_bucket, fixed_window"),
        ({"service": "oci"}, ValueError, "service='oci' is unknown (hint: use one of oci-model-deployment, oci-genai"),
        ({"retry_after": -1}, ValueError, "retry_after=-1 is out of range"),
        ({"retry_after": float("inf")}, ValueError, "retry_after=inf is out of range"),
        ({"retry_after": "soon"}, TypeError, "retry_after='soon' is not a number (hint: pass an int, a float or"),
    ],
    ids=str,
)
def test_an_invalid_limit_is_an_error(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    """Its message begins with the field."""
    with pytest.raises(error) as caught:
        replace(VALID, **fields)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (VALID, "rate_limits is a RequestRateLimit, no list (hint: pass a list"),
        (150, "rate_limits is a int, no list"),
        ("150", "rate_limits is a str, no list"),
        ([VALID, 150], "rate_limits[1] is a int, no RequestRateLimit"),
    ],
    ids=str,
)
def test_what_is_no_list_of_limits_is_an_error(emulator: Emulator, limits: Any, message: str) -> None:
    """In the constructor and on assignment, which changes nothing then."""
    emulator.rate_limits = [VALID]

    with pytest.raises(TypeError) as constructed:
        Emulator(rate_limits=limits)
    with pytest.raises(TypeError) as assigned:
        emulator.rate_limits = limits

    assert str(constructed.value).startswith(message)
    assert str(assigned.value).startswith(message)
    assert (VALID,) == emulator.rate_limits


def test_the_default_burst_is_that_of_one_second() -> None:
    limits = [RequestRateLimit(rate) for rate in (150, 1.5, 0.25)]

    assert [150, 2, 1] == [limit.capacity for limit in limits]
    assert [1.0, 2 / 1.5, 4.0] == [limit.window for limit in limits]
