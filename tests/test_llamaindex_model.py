"""The model object: fields, secrets, serialization, connections."""

import asyncio
import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from _stream_endings import OUTPUT, REQUEST
from llama_index.core import Settings
from llama_index.core.async_utils import asyncio_run
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.callbacks import CallbackManager, EventPayload
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import LLM, ChatMessage
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.loading import load_llm
from pydantic import ValidationError

from llamaindex_mdstream import MDStreamLLM, OCIDataScience, RequestNotSent
from mdstream_core import Timeout, errors
from mdstream_core.auth import BearerSigner, UnsignedSigner
from mdstream_core.emulator import Emulator, Fault
from tests.test_llamaindex_failures import CallbackRecorder

MESSAGES = [ChatMessage(REQUEST)]
URL = "http://127.0.0.1:1/ocid1.datasciencemodeldeployment.oc1.iad.abc"
SECRET = "s3cr3t-value"


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


@pytest.fixture
def llm(emulator: Emulator) -> Iterator[OCIDataScience]:
    """A model."""
    with OCIDataScience(endpoint=emulator.endpoint, auth_type="none", max_retries=0) as model:
        yield model


def test_metadata() -> None:
    """
    The metadata describe a function-calling LLM, also in `Settings`.
    """
    llm = OCIDataScience(endpoint=URL)
    before = Settings._llm
    Settings.llm = llm

    assert {LLM, BaseLLM, FunctionCallingLLM, MDStreamLLM} <= set(OCIDataScience.__mro__)
    assert Settings.llm is llm
    assert ("odsc-llm", 3900, -1, True, True) == (
        llm.metadata.model_name,
        llm.metadata.context_window,
        llm.metadata.num_output,
        llm.metadata.is_chat_model,
        llm.metadata.is_function_calling_model,
    )
    Settings._llm = before


def test_field_names_of_the_peer_package() -> None:
    """
    Each argument of llama-index-llms-oci-data-science 1.2.0 is accepted.
    """
    llm = OCIDataScience(
        endpoint=f"{URL}/predict",
        auth={"signer": UnsignedSigner()},
        model="m",
        temperature=0.5,
        max_tokens=10,
        context_window=100,
        timeout=120,
        max_retries=5,
        additional_kwargs={"top_p": 0.9},
        callback_manager=None,
        is_chat_model=True,
        is_function_calling_model=True,
        default_headers={"x": "y"},
        system_prompt="Be brief.",
        strict=False,
    )

    assert 10 == llm.metadata.num_output


def test_the_request(emulator: Emulator) -> None:
    """
    Fields, `additional_kwargs`, options of the call and `extra_body` override each other in this order.
    """
    llm = OCIDataScience(
        endpoint=emulator.endpoint,
        auth_type="none",
        temperature=0,
        stop=["END"],
        additional_kwargs={"top_p": 0.9, "seed": 1},
        extra_body={"min_p": 0.1},
        default_headers={"x-a": "1", "x-b": "1"},
    )
    llm.chat(MESSAGES, seed=2, max_tokens=7, formatted=True, stream=True, headers={"x-b": "2"})
    sent = emulator.last

    assert {
        "model": "odsc-llm",
        "messages": [{"role": "user", "content": REQUEST}],
        "temperature": 0,
        "max_tokens": 7,
        "stop": ["END"],
        "top_p": 0.9,
        "seed": 2,
        "min_p": 0.1,
    } == sent.json
    assert ("1", "2") == (sent.headers["x-a"], sent.headers["x-b"])
    assert {"top_p": 0.9, "seed": 1} == llm.additional_kwargs


def test_headers_of_a_call_are_traced_without_values(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    The server receives the values, event handlers do not.
    """
    callbacks = CallbackRecorder()
    llm.callback_manager = CallbackManager([callbacks])
    llm.chat(MESSAGES, headers={"X-Api-Key": SECRET, "x-tenant": "a"}, seed=1)

    assert (SECRET, "a") == (emulator.last.headers["x-api-key"], emulator.last.headers["x-tenant"])
    shown = callbacks.requested[0][EventPayload.ADDITIONAL_KWARGS]
    assert ({"X-Api-Key": "…", "x-tenant": "…"}, 1) == (dict(shown["headers"]), shown["seed"])
    assert SECRET not in repr(shown)


def test_secrets_are_hidden() -> None:
    """
    Dictionaries, payloads, `repr` and pickles contain no credential; of headers they have the names.
    """
    llm = OCIDataScience(
        endpoint=URL,
        api_key=SECRET,
        auth={"config": {"key_content": SECRET}},
        default_headers={"Authorization": SECRET, "x-tenant": "a"},
        proxy=f"http://user:{SECRET}@127.0.0.1:1",
    )
    shown = [llm.to_dict(), llm.to_json(), llm.to_payload(), repr(llm), str(llm), pickle.dumps(llm), llm.model_dump()]

    assert not [form for form in shown if SECRET in (form.decode("latin-1") if isinstance(form, bytes) else str(form))]
    assert {"Authorization": "…", "x-tenant": "…"} == llm.to_dict()["default_headers"]
    assert SECRET == llm.default_headers["Authorization"]  # type: ignore[index]


def test_serialization_round_trip(emulator: Emulator) -> None:
    """
    Objects of a dictionary, JSON, a pickle and `load_llm` work, also if the first was used.
    """
    llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none", timeout=Timeout(read=5), stop="END")
    assert OUTPUT == llm.chat(MESSAGES).message.content
    others = [
        OCIDataScience.from_dict(llm.to_dict()),
        OCIDataScience.from_json(llm.to_json()),
        pickle.loads(pickle.dumps(llm)),
        load_llm(llm.to_dict()),
        copy.deepcopy(llm),
        llm.model_copy(),
    ]

    assert [OUTPUT] * len(others) == [other.chat(MESSAGES).message.content for other in others]
    assert [llm.to_dict()] * len(others) == [other.to_dict() for other in others]
    assert Timeout(read=5) == others[1].timeout  # type: ignore[attr-defined]


def test_a_pickle_leaves_the_object_as_it_is(emulator: Emulator) -> None:
    """
    Clients and signers that hold their key are missing only in the pickle.
    """
    with httpx.Client() as client:
        llm = OCIDataScience(endpoint=emulator.endpoint, auth=BearerSigner("k"), http_client=client)
        other = pickle.loads(pickle.dumps(llm))

        assert (None, None) == (other.auth, other.http_client)
        assert isinstance(llm.auth, BearerSigner)
        assert llm.http_client is client
        assert copy.deepcopy(llm).http_client is client


def test_an_assigned_field_takes_effect(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    A field of the connection takes effect too.
    """
    llm.chat(MESSAGES)
    llm.default_headers = {"x-new": "1"}
    llm.temperature = 0.7
    llm.chat(MESSAGES)

    assert ("1", 0.7) == (emulator.last.headers["x-new"], emulator.last.json["temperature"])


def test_a_bearer_key_is_sent(emulator: Emulator) -> None:
    """
    `api_key` is sent as a bearer token.
    """
    OCIDataScience(endpoint=emulator.endpoint, api_key="k").chat(MESSAGES)

    assert "Bearer k" == emulator.last.headers["authorization"]


def test_http_clients_of_the_user_are_used(emulator: Emulator) -> None:
    """
    Their headers are sent; without our transport a warning is issued.
    """
    with httpx.Client(headers={"x-own": "1"}) as client:
        llm = OCIDataScience(endpoint=emulator.endpoint, auth=httpx.Auth(), http_client=client)
        with pytest.warns(RuntimeWarning, match="trailers"):
            llm.chat(MESSAGES)

    assert "1" == emulator.last.headers["x-own"]


def test_a_closed_object_can_be_used_again(emulator: Emulator) -> None:
    """
    The context manager closes the connections, sync and async; the next request opens new ones.
    """
    with OCIDataScience(endpoint=emulator.endpoint, auth_type="none") as llm:
        llm.chat(MESSAGES)
    llm.chat(MESSAGES)

    async def send_request() -> None:
        async with llm:
            await llm.achat(MESSAGES)
        await llm.achat(MESSAGES)

    asyncio.run(send_request())

    assert 4 == len({received.connection for received in emulator.requests})


async def test_nested_event_loops(emulator: Emulator) -> None:
    """
    `asyncio_run`, with which LlamaIndex's sync methods run async ones in a thread, works in a running loop.
    """
    llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none")
    before = await llm.achat(MESSAGES)

    assert before.message.content == asyncio_run(llm.achat(MESSAGES)).message.content
    assert before.message.content == (await llm.achat(MESSAGES)).message.content


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no URL": ({"endpoint": "not a url"}, "endpoint"),
    "nothing": ({"endpoint": ""}, "endpoint"),
    "an unknown option": ({"endpoint": URL, "temprature": 1}, "temprature"),
    "a negative number": ({"endpoint": URL, "max_retries": -1}, "max_retries"),
    "no time": ({"endpoint": URL, "timeout": 0}, "timeout"),
    "no tokens": ({"endpoint": URL, "max_tokens": 0}, "max_tokens"),
}


@pytest.mark.parametrize(("fields", "word"), BAD.values(), ids=BAD)
def test_a_wrong_field_is_named(fields: dict[str, Any], word: str) -> None:
    """
    The field is rejected when the object is created.
    """
    with pytest.raises(ValidationError, match=word):
        OCIDataScience(**fields)


@pytest.mark.parametrize(("fields", "_word"), BAD.values(), ids=BAD)
def test_a_wrong_field_shows_no_secret(fields: dict[str, Any], _word: str) -> None:
    """
    The error does not show other values.
    """
    with pytest.raises(ValidationError) as caught:
        OCIDataScience(**fields, api_key=SECRET, auth=SECRET, default_headers={"authorization": SECRET})

    assert SECRET not in str(caught.value)


def test_a_bearer_key_of_the_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is used if no other authentication was selected.
    """
    monkeypatch.setenv("MDSTREAM_API_KEY", "k")
    OCIDataScience(endpoint=emulator.endpoint).chat(MESSAGES)
    OCIDataScience(endpoint=emulator.endpoint, auth_type="none").chat(MESSAGES)

    assert ["Bearer k", None] == [received.headers.get("authorization") for received in emulator.requests]


def test_hooks_receive_events(emulator: Emulator) -> None:
    """
    Hooks receive each attempt, the first event and the end.
    """
    moments: list[Any] = []
    emulator.script(Fault("refuse", "unavailable", retry_after="0"))
    list(OCIDataScience(endpoint=emulator.endpoint, auth_type="none", hooks=(moments.append,)).stream_chat(MESSAGES))

    names = [
        "RequestSent",
        "ResponseStarted",
        "RetryScheduled",
        "RequestSent",
        "ResponseStarted",
        "FirstEvent",
        "Completed",
    ]
    assert names == [type(call_event).__name__ for call_event in moments]


def test_an_unknown_auth_type_is_named(llm: OCIDataScience) -> None:
    """
    The error lists the valid values.
    """
    llm.auth_type = "carrier_pigeon"

    with pytest.raises(RequestNotSent, match="resource_principal"):
        llm.chat(MESSAGES)


def test_without_llama_index_the_error_names_the_extra() -> None:
    """
    The import fails with the command to install the extra.
    """
    code = "import sys; sys.modules['llama_index'] = None; import llamaindex_mdstream"
    callbacks = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr

    assert "MissingExtra: llama-index-core is not installed (hint: pip install 'mdstream-llm[llamaindex]')" in callbacks


def test_chat_engine_streams_and_keeps_the_history(llm: OCIDataScience) -> None:
    """
    Tokens are streamed, and the response is in the engine's memory.
    """
    engine = SimpleChatEngine.from_defaults(llm=llm)

    assert OUTPUT == "".join(engine.stream_chat(REQUEST).response_gen)
    assert [REQUEST, OUTPUT] == [message.content for message in engine.chat_history]


def test_chat_engine_raises_error_responses(emulator: Emulator, llm: OCIDataScience) -> None:
    """
    An error response is raised by the call, not in the engine's thread.
    """
    emulator.script(Fault("refuse", "not_found"))

    with pytest.raises(errors.NotFound):
        SimpleChatEngine.from_defaults(llm=llm).stream_chat(REQUEST)
