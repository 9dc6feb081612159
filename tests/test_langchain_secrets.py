"""Secrets, serialization and tracing of LangChain models."""

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


def test_secrets_are_never_shown(emulator: Emulator) -> None:
    """A key is in no repr, dump, serialization, trace, error or metadata."""
    chat = chat_at(emulator, auth_type=None, api_key=SECRET, default_headers={"X-Token": SECRET})
    emulator.script(Fault("trailer", after=3))
    with pytest.raises(errors.StreamFailure) as caught:
        list(chat.stream(REQUEST))

    assert f"Bearer {SECRET}" == emulator.last.headers["authorization"]
    texts = [
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
    assert [] == [text for text in texts if SECRET in text]


def test_a_wrong_option_shows_no_secret() -> None:
    """The error names the wrong option, and shows no values."""
    with pytest.raises(ValidationError) as caught:
        ChatOCIModelDeployment(endpoint="nowhere", auth={"key": SECRET}, default_headers={"authorization": SECRET})

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("auth_type", ["none", "NONE", None])
def test_a_key_in_the_environment_is_used_without_other_authentication(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, auth_type: str | None
) -> None:
    """`MDSTREAM_API_KEY` does not override another `auth_type`."""
    monkeypatch.setenv("MDSTREAM_API_KEY", SECRET)
    chat_at(emulator, auth_type=auth_type).invoke("hi")

    assert (auth_type is None) == ("authorization" in emulator.last.headers)


def test_dump_and_load(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """`load(dumpd(model))` returns an equal model, with the key of the environment."""
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
    """A trace has the versions of the packages."""
    assert {"langchain-core", "mdstream-llm"} <= set((chat_at(emulator).metadata or {})["lc_versions"])


def test_hooks_get_the_events_of_a_call(emulator: Emulator) -> None:
    """Hooks get each attempt, the response head, the first event and the end, in this order, without credentials."""
    reported: list[Any] = []
    emulator.script(Fault("refuse", "lb_bandwidth"), None)
    list(chat_at(emulator, auth_type=None, api_key=SECRET, hooks=(reported.append,)).stream(REQUEST))

    first = [hooks.RequestSent, hooks.ResponseStarted, hooks.RetryScheduled]
    second = [hooks.RequestSent, hooks.ResponseStarted, hooks.FirstEvent, hooks.Completed]
    assert [*first, *second] == [type(call_event) for call_event in reported]
    assert OUTPUT == reported[-1].response.text
    assert SECRET not in repr(reported)


def test_the_cause_of_an_error_has_no_secret() -> None:
    """The HTTP library's exception stays as the cause, without the credentials of its request."""
    chat = ChatModelArts(endpoint="http://127.0.0.1:1/v1", token=SECRET, max_retries=0)
    with pytest.raises(errors.ConnectionFailed) as caught:
        chat.invoke("hi")

    chain: list[BaseException] = []
    error: BaseException | None = caught.value
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    texts = [f"{vars(one)} {getattr(getattr(one, '_request', None), 'headers', '')!r}" for one in chain]
    assert len(chain) > 1
    assert [] == [text for text in texts if SECRET in text]


def test_headers_that_cannot_be_sent_are_named_without_their_value(emulator: Emulator) -> None:
    """The error for a key with an invalid character names its header only."""
    with pytest.raises(ValueError, match="'x-api-key' has a value that cannot be sent") as caught:
        chat_at(emulator, default_headers={"x-api-key": f"{SECRET}é"}).invoke("hi")
    assert SECRET not in str(caught.value)


def test_a_credential_in_a_url_is_rejected() -> None:
    """A URL with a credential raises, because traces show URLs."""
    with pytest.raises(ValueError, match=r"credential in its query \(apikey=…\)") as caught:
        ChatModelArts(endpoint=f"https://h/v1?apikey={SECRET}")
    assert SECRET not in str(caught.value)
