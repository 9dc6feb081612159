"""Clients that are not ours ask the emulated ModelArts: `websockets`, Huawei's signer, OpenAI's SDK."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.services._modelarts_authentication import HuaweiAccount

AK, SK = "QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
CHAT = "/v1/chat/completions"
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
TEXT = "Hello! How can I help you today?"
ACCOUNT = HuaweiAccount(access_keys={AK: SK}, api_keys=["KEY"], app_codes=["CODE"])


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(huawei=ACCOUNT) as emulator:
        yield emulator


@pytest.fixture
def sockets() -> Any:
    reason = "checks the emulator with websockets; install mdstream-llm[emulator]"
    pytest.importorskip("websockets.asyncio.client", reason=reason)
    return pytest.importorskip("websockets.sync.client", reason=reason)


def text(messages: list[str]) -> str:
    chunks = [json.loads(message) for message in messages if message != "[DONE]"]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


KEY = {"X-Apig-AppCode": "CODE"}


def test_websockets_in_threads(emulator: Emulator, sockets: Any) -> None:
    """
    A question, the answer in messages, a close with 1000.
    """
    with sockets.connect(emulator.modelarts.websocket_endpoint + CHAT, additional_headers=KEY, proxy=None) as socket:
        socket.send(json.dumps(REQUEST))
        messages = list(socket)

    assert (TEXT, "[DONE]", 1000) == (text(messages), messages[-1], socket.close_code)
    assert socket.response.headers["X-Request-Id"]


async def test_websockets_in_tasks(emulator: Emulator, sockets: Any) -> None:
    """
    The same, awaited; fragments and pings on the way.
    """
    connect = pytest.importorskip("websockets.asyncio.client", reason="the same package").connect
    emulator.script((Fault("keepalive_comments"),), Fault("bytewise", size=5))
    for _ in range(2):
        async with connect(emulator.modelarts.websocket_endpoint + CHAT, additional_headers=KEY, proxy=None) as socket:
            await socket.send(json.dumps(REQUEST))
            assert TEXT == text([message async for message in socket])


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("trailer", after=3), 1011),
        (Fault("trailer", name="close", data=b"1013 later", after=3), 1013),
        (Fault("cut", after=3), 1006),
        (Fault("reset", after=3), 1006),
    ],
    ids=["1011", "1013", "cut", "reset"],
)
def test_websockets_sees_how_it_failed(emulator: Emulator, sockets: Any, fault: Fault, code: int) -> None:
    """
    What came before it has come.
    """
    exceptions = pytest.importorskip("websockets.exceptions", reason="the same package")
    emulator.script(fault)
    with sockets.connect(emulator.modelarts.websocket_endpoint + CHAT, additional_headers=KEY, proxy=None) as socket:
        socket.send(json.dumps(REQUEST))
        messages = []
        with pytest.raises(exceptions.ConnectionClosedError):
            for message in socket:
                messages.append(message)  # noqa: PERF402
        assert code == socket.protocol.close_code

    assert TEXT.startswith(text(messages))
    assert 3 == len(messages)


def test_websockets_receives_why_it_is_refused(emulator: Emulator, sockets: Any) -> None:
    """
    An HTTP answer with Huawei's envelope.
    """
    exceptions = pytest.importorskip("websockets.exceptions", reason="the same package")
    with pytest.raises(exceptions.InvalidStatus) as caught:
        sockets.connect(emulator.modelarts.websocket_endpoint + CHAT, proxy=None)

    assert 401 == caught.value.response.status_code
    assert "APIG.0301" == json.loads(caught.value.response.body)["error_code"]


@pytest.mark.parametrize(("secret", "status"), [(SK, 200), ("another", 401)])
def test_huaweis_signer_is_let_in(emulator: Emulator, secret: str, status: int) -> None:
    """
    `huaweicloudsdkcore` signs, with a path, a query and a project of its own; the wrong secret is refused.
    """
    reason = "checks the emulator with Huawei's SDK; install huaweicloudsdkcore"
    signer = pytest.importorskip("huaweicloudsdkcore.signer.signer", reason=reason)
    requests = pytest.importorskip("huaweicloudsdkcore.sdk_request", reason=reason)
    auth = pytest.importorskip("huaweicloudsdkcore.auth.credentials", reason=reason)
    parts = urlsplit(emulator.modelarts.endpoint + CHAT)
    made = signer.Signer(auth.BasicCredentials(AK, secret)).sign(
        requests.SdkRequest(
            method="POST",
            schema="http",
            host=parts.netloc,
            resource_path=parts.path,
            query_params=[("b", "2 ~"), ("a", "é")],
            header_params={"Content-Type": "application/json", "X-Project-Id": "p1"},
            body=json.dumps(REQUEST),
        )
    )
    requested = urllib.request.Request(f"{emulator.url}{made.uri}", made.body, made.header_params, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    if status == 200:
        with opener.open(requested, timeout=5) as response:
            assert response.read().endswith(b"data: [DONE]\n\n")
        return
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(requested, timeout=5)
    assert (status, "APIG.0301") == (caught.value.code, json.loads(caught.value.read())["error_code"])


def test_openais_sdk_over_the_maas_base(emulator: Emulator) -> None:
    """
    Streams, documents, and the refusals of MaaS in OpenAI's classes.
    """
    openai = pytest.importorskip(
        "openai", reason="checks the emulator with OpenAI's SDK; install mdstream-llm[reference-clients]"
    )
    requested = {"model": "m", "messages": REQUEST["messages"]}
    with openai.OpenAI(base_url=emulator.modelarts.maas, api_key="KEY", max_retries=0) as client:
        chunks = list(client.chat.completions.create(**requested, stream=True))
        whole = client.chat.completions.create(**requested)
        emulator.script(Fault("refuse", "maas_risk"))
        with pytest.raises(openai.PermissionDeniedError):
            client.chat.completions.create(**requested)
    with (
        openai.OpenAI(base_url=emulator.modelarts.maas, api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(**requested)

    assert TEXT == "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert TEXT == whole.choices[0].message.content
