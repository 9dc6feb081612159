"""Default timeouts of each service, and responses that are not received in time."""

import asyncio
import json
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest
from _both_frameworks import METHODS, completion, scripted
from _raw_server import RawServer, Script, serving
from pydantic import TypeAdapter

from mdstream_core import (
    AsyncClient,
    Client,
    MDStreamError,
    ModelArts,
    OCIGenerativeAI,
    OCIModelDeployment,
    OpenAIChat,
    Platform,
    Retry,
    SageMaker,
    Service,
    Timeout,
)
from mdstream_core.call import Call
from mdstream_core.dialects import dialect, embedding_dialect, rerank_dialect
from mdstream_core.errors import StreamStalled

DEPLOYMENT = OCIModelDeployment("http://127.0.0.1:1/ocid1.x")
GENAI = OCIGenerativeAI("ocid1.compartment.oc1..a", "xai.grok-4", region="us-chicago-1")
AWS = SageMaker("e", "us-east-1")
GATEWAY = ModelArts("https://infer-modelarts-cn-north-4.modelarts-infer.com/v1/infers/8e1b")
APIG = ModelArts("wss://0a1b.apig.cn-north-4.huaweicloudapis.com/x")
CHANNEL = ModelArts("http://192.168.0.7:8080")
MAAS = ModelArts("https://api.modelarts-maas.com/v1")
REQUEST = {"messages": [{"role": "user", "content": "Hello"}]}

#: platform, whether it streams: (the longest silence, the whole call)
DEFAULTS: list[tuple[Platform, bool, float, float]] = [
    (DEPLOYMENT, False, 65, 330),
    (DEPLOYMENT, True, 65, 330),
    (GENAI, False, 240, 330),
    (GENAI, True, 240, 3600),
    (AWS, False, 70, 330),
    (AWS, True, 490, 520),
    (GATEWAY, False, 65, 330),
    (GATEWAY, True, 65, 330),
    (APIG, True, 65, 330),
    (CHANNEL, False, 600, 630),
    (CHANNEL, True, 240, 3600),
    (MAAS, False, 600, 630),
    (MAAS, True, 240, 3600),
]


def resolve_timeout(platform: Platform, stream: bool, timeout: Any = None) -> Timeout:
    return Service(platform, timeout=timeout).call(OpenAIChat(), REQUEST, stream=stream).timeout


@pytest.mark.parametrize(("platform", "stream", "read", "total"), DEFAULTS, ids=str)
def test_each_service_has_its_own_defaults(platform: Platform, stream: bool, read: float, total: float) -> None:
    """A little more than the service allows, so that its own error comes first; the user's values win."""
    common = {"connect": 10, "write": 30, "pool": 30, "first_token": None}

    assert Timeout(read=read, total=total, **common) == resolve_timeout(platform, stream)  # type: ignore[arg-type]
    assert Timeout(read=5, total=total, **common) == resolve_timeout(platform, stream, 5)  # type: ignore[arg-type]
    assert Timeout(read=read, total=9, **common) == resolve_timeout(platform, stream, Timeout(total=9))  # type: ignore[arg-type]
    assert Timeout(read=None, total=None, **common) == resolve_timeout(platform, stream, Timeout(read=None))  # type: ignore[arg-type]
    assert 2 == resolve_timeout(platform, stream, Timeout(first_token=2)).first_token
    assert total == Call(platform, OpenAIChat(), REQUEST, stream=stream).timeout.total


LONGER = (
    (Timeout(first_token=600), 630),
    (Timeout(read=500, first_token=100), 530),
    (Timeout(read=None), None),
    (Timeout(read=None, first_token=5), None),
    (Timeout(read=None, total=9), 9),
    (Timeout(first_token=None), 330),
)


@pytest.mark.parametrize(
    ("given", "total"), [(600, 630), (300, 330), (65.5, 330), (Timeout(read=600, total=400), 400), *LONGER]
)
def test_a_longer_read_timeout_raises_the_default_total(given: Any, total: float | None) -> None:
    """Otherwise a user who waits 10 minutes would get 5 and a half."""
    assert total == resolve_timeout(DEPLOYMENT, False, given).total


def test_defaults_are_resolved_late() -> None:
    """A copy, a pickle or JSON may be used with another service."""
    given = Timeout(read=5)
    reads = TypeAdapter(float | Timeout | None)

    assert given == pickle.loads(pickle.dumps(given)) == reads.validate_json(reads.dump_json(given))
    assert Timeout(read=5, connect="default") == given != Timeout(read=5, connect=10)
    with pytest.raises(ValueError, match=r"timeout\.read='soon'"):
        Timeout(read="soon")  # type: ignore[arg-type]


def silent(seconds: float) -> Script:
    """Server script that delays each response."""

    def respond(body: dict[str, Any]) -> bytes:
        time.sleep(seconds)
        return completion(body)

    return scripted(respond)


@pytest.mark.parametrize("call_method", METHODS)
@pytest.mark.parametrize("platform", ["oci-model-deployment", "oci-genai", "modelarts"])
def test_a_read_timeout_without_streaming_is_not_retried(platform: str, call_method: str) -> None:
    """The server may still be working, and bill each request; a stream may be retried."""
    model, send_request, stream = METHODS[call_method]
    with serving(silent(0.4)) as server, pytest.raises(StreamStalled) as caught:
        send_request(model(platform, server, timeout=0.1, max_retries=1))

    assert (2 if stream else 1) == len(server.requests)
    assert stream == caught.value.retryable
    assert stream != ("not retried, because" in str(caught.value))


Send = Callable[[RawServer, Any, Any, Retry], None]


def sync(server: RawServer, uses: Any, params: Any, retry: Retry) -> None:
    client = Client(trust_env=False)
    platform = OCIModelDeployment(f"{server.url}/ocid1.x/predict/v1")
    try:
        client.complete(Call(platform, uses, params, stream=False, retry=retry, timeout=Timeout(read=0.1)))
    finally:
        client.close()


def asyn(server: RawServer, uses: Any, params: Any, retry: Retry) -> None:
    async def send_request() -> None:
        client = AsyncClient(trust_env=False)
        platform = OCIModelDeployment(f"{server.url}/ocid1.x/predict/v1")
        try:
            call = Call(platform, uses, params, stream=False, retry=retry, timeout=Timeout(read=0.1))
            await client.complete(call)
        finally:
            await client.aclose()

    asyncio.run(send_request())


#: name: (dialect, params, retry, how many requests there are)
CASES: dict[str, tuple[Any, Any, Retry, int]] = {
    "chat": (dialect("openai-chat"), REQUEST, Retry(2, base_delay=0.01), 1),
    "completions": (dialect("openai-completions"), {"prompt": "Hello"}, Retry(2, base_delay=0.01), 1),
    "vectors": (embedding_dialect("openai-embeddings"), {"input": ["a"]}, Retry(2, base_delay=0.01), 1),
    "a ranking": (rerank_dialect("rerank"), {"query": "a", "documents": ["b"]}, Retry(2, base_delay=0.01), 1),
    "as the user wants": (dialect("openai-chat"), REQUEST, Retry(2, base_delay=0.01, retry_read_timeouts=True), 3),
    "a list of models, which costs nothing": (dialect("models"), {}, Retry(2, base_delay=0.01), 3),
}


@pytest.mark.parametrize("send_request", [sync, asyn])
@pytest.mark.parametrize(("uses", "params", "retry", "requests"), CASES.values(), ids=CASES)
def test_a_read_timeout_is_final(send_request: Send, uses: Any, params: Any, retry: Retry, requests: int) -> None:
    """In every dialect, unless the policy allows retries."""
    with serving(silent(0.4)) as server:
        with pytest.raises(StreamStalled) as caught:
            send_request(server, uses, params, retry)
        assert requests == len(server.requests)
    assert caught.value.response is not None
    assert str(caught.value) == caught.value.response.json()["error"]["message"]


@pytest.mark.parametrize("call_method", ["langchain invoke", "llamaindex achat"])
def test_a_read_timeout_in_a_document_is_final(call_method: str) -> None:
    """Half of the document was received."""
    begun = completion({})[:-20]

    def script(server: RawServer, peer: Any) -> None:
        while request := peer.request():
            server.requests.append(request)
            server.notes.append(json.loads(request.partition(b"\r\n\r\n")[2]))
            peer.send(begun)
            peer.sees_end()

    model, send_request, _ = METHODS[call_method]
    with serving(script) as server, pytest.raises(MDStreamError):
        send_request(model("oci-model-deployment", server, timeout=0.2, max_retries=2))
    assert len(server.requests) == 1
