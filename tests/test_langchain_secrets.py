"""Secrets, serialization and tracing of LangChain's models."""

import json
from typing import Any

import pytest
from _langchain import OUTPUT, REQUEST, SECRET, chat_at, emulator, shared_emulator
from langchain_core.load import dumpd, dumps, load
from pydantic import ValidationError

from langchain_mdstream import ChatModelArts, ChatOCIModelDeployment, OCIModelDeploymentLLM
from mdstream_core import errors, hooks
from mdstream_core.emulator import Emulator, Fault

__all__ = ["emulator", "shared_emulator"]  # fixtures


def test_secrets_are_nowhere(emulator: Emulator) -> None:
    """A key is in no repr, dump, serialization, trace, error, or metadata."""
    chat = chat_at(emulator, auth_type=None, api_key=SECRET, default_headers={"X-Token": SECRET})
    emulator.script(Fault("trailer", after=3))
    with pytest.raises(errors.StreamFailure) as caught:
        list(chat.stream(REQUEST))

    assert f"Bearer {SECRET}" == emulator.last.headers["authorization"]
    shown = [
        repr(chat),
        str(chat),
        dumps(chat),
        str(chat.model_dump()),
        str(chat.asdict()),
        str(chat._get_llm_string()),
        str(chat._identifying_params),
        repr(caught.value),
        str(vars(caught.value)),
        json.dumps(caught.value.response.json()),  # type: ignore[union-attr]
        str(caught.value.response.headers),  # type: ignore[union-attr]
        str(vars(caught.value.__cause__)),
    ]
    assert [] == [text for text in shown if SECRET in text]


def test_a_wrong_option_shows_no_secret() -> None:
    """What is wrong is named; what else was given is not shown."""
    with pytest.raises(ValidationError) as caught:
        ChatOCIModelDeployment(endpoint="nowhere", auth={"key": SECRET}, default_headers={"authorization": SECRET})

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("auth_type", ["none", "NONE", None])
def test_a_key_in_the_environment_counts_where_nothing_else_was_stated(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, auth_type: str | None
) -> None:
    """`MDSTREAM_API_KEY` does not stand in the way of another `auth_type`."""
    monkeypatch.setenv("MDSTREAM_API_KEY", SECRET)
    chat_at(emulator, auth_type=auth_type).invoke("hi")

    assert (auth_type is None) == ("authorization" in emulator.last.headers)


def test_loading_what_was_dumped(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """`load(dumpd(model))` gives the model again; the key comes from the environment."""
    monkeypatch.setenv("MDSTREAM_API_KEY", SECRET)
    for model in (
        chat_at(emulator, auth_type=None, api_key=SECRET, temperature=0.3),
        OCIModelDeploymentLLM(endpoint=emulator.endpoint, api_key=SECRET, temperature=0.3),  # type: ignore[arg-type]
    ):
        again = load(
            dumpd(model), valid_namespaces=["langchain_mdstream"], allowed_objects="all", secrets_from_env=True
        )
        assert model == again


def test_versions_are_traced(emulator: Emulator) -> None:
    """A trace says which packages made it."""
    assert {"langchain-core", "mdstream-llm"} <= set((chat_at(emulator).metadata or {})["lc_versions"])


def test_hooks_are_reported_what_happens(emulator: Emulator) -> None:
    """Each attempt, the answer's head, the first event and the end are told, in this order, without credentials."""
    reported: list[Any] = []
    emulator.script(Fault("refuse", "lb_bandwidth"), None)
    list(chat_at(emulator, auth_type=None, api_key=SECRET, hooks=(reported.append,)).stream(REQUEST))

    first = [hooks.RequestSent, hooks.ResponseStarted, hooks.RetryScheduled]
    then = [hooks.RequestSent, hooks.ResponseStarted, hooks.FirstEvent, hooks.Completed]
    assert [*first, *then] == [type(call_event) for call_event in reported]
    assert OUTPUT == reported[-1].response.text
    assert SECRET not in repr(reported)


def test_the_cause_of_an_error_holds_no_secret() -> None:
    """What the HTTP library raised stays as the cause, without the credentials that its request carried."""
    chat = ChatModelArts(endpoint="http://127.0.0.1:1/v1", token=SECRET, max_retries=0)
    with pytest.raises(errors.ConnectionFailed) as caught:
        chat.invoke("hi")

    chain: list[BaseException] = []
    error: BaseException | None = caught.value
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    shown = [f"{vars(one)} {getattr(getattr(one, '_request', None), 'headers', '')!r}" for one in chain]
    assert len(chain) > 1
    assert [] == [text for text in shown if SECRET in text]


def test_headers_that_cannot_be_sent_are_named_without_their_value(emulator: Emulator) -> None:
    """A key with a stray character is told by its header's name alone."""
    with pytest.raises(ValueError, match="'x-api-key' has a value that cannot be sent") as caught:
        chat_at(emulator, default_headers={"x-api-key": f"{SECRET}é"}).invoke("hi")
    assert SECRET not in str(caught.value)


def test_a_credential_in_an_address_is_refused() -> None:
    """Addresses are shown in traces; a key does not belong there."""
    with pytest.raises(ValueError, match=r"credential in its query \(apikey=…\)") as caught:
        ChatModelArts(endpoint=f"https://h/v1?apikey={SECRET}")
    assert SECRET not in str(caught.value)
