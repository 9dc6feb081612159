"""Hugging Face's parameters beside `messages`: sent under OpenAI's names, or named in a warning, never silently inert."""

import warnings
from typing import Any

import pytest
from _json_server import FIELDS, responding

import langchain_mdstream as lc
import llamaindex_mdstream as li
from mdstream_core import dialect

STATES = [{"role": "user", "content": "Hi"}]

#: name: (what is given, what is sent beside the messages)
TRANSLATED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "max_new_tokens": ({"max_new_tokens": 50}, {"max_tokens": 50}),
    "max_gen_len": ({"max_gen_len": 50}, {"max_tokens": 50}),
    "max_tokens_to_sample": ({"max_tokens_to_sample": 50}, {"max_tokens": 50}),
    "the lower limit": ({"max_new_tokens": 50, "max_tokens": 100}, {"max_tokens": 50}),
    "the lower limit, by its new name": (
        {"max_new_tokens": 50, "max_completion_tokens": 100},
        {"max_completion_tokens": 50},
    ),
    "the same": ({"max_new_tokens": 50, "max_tokens": 50}, {"max_tokens": 50}),
    "min_new_tokens": ({"min_new_tokens": 5}, {"min_tokens": 5}),
    "stop_sequences": ({"stop_sequences": ["a"]}, {"stop": ["a"]}),
    "num_return_sequences": ({"num_return_sequences": 2}, {"n": 2}),
    "greedy": ({"do_sample": False}, {"temperature": 0}),
    "greedy, with a temperature": ({"do_sample": False, "temperature": 0.7}, {"temperature": 0}),
    "sampling": ({"do_sample": True, "temperature": 0.7}, {"temperature": 0.7}),
    "what is done anyway": (
        {
            "return_full_text": False,
            "details": True,
            "decoder_input_details": False,
            "watermark": False,
            "num_beams": 1,
        },
        {},
    ),
    "nothing": ({"max_new_tokens": None, "do_sample": None}, {}),
    "a grammar": (
        {"grammar": {"type": "json", "value": {"type": "object"}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}}},
    ),
    "llama.cpp's grammar": ({"grammar": 'root ::= "a"'}, {"grammar": 'root ::= "a"'}),
    "in parameters": ({"parameters": {"max_new_tokens": 50, "top_k": 3}}, {"max_tokens": 50, "top_k": 3}),
    "in parameters and beside": ({"parameters": {"top_k": 3, "seed": 1}, "top_k": 5}, {"top_k": 5, "seed": 1}),
    "what servers take": (
        {"repetition_penalty": 1.1, "top_k": 3, "min_p": 0.1, "seed": 7},
        {"repetition_penalty": 1.1, "top_k": 3, "min_p": 0.1, "seed": 7},
    ),
    "all that users write": (
        {"parameters": {"max_new_tokens": 50, "do_sample": False, "return_full_text": False, "stop_sequences": ["a"]}},
        {"max_tokens": 50, "temperature": 0, "stop": ["a"]},
    ),
}
TRANSLATED["the lower limit in parameters"] = (
    {"parameters": {"max_new_tokens": 50}, "max_tokens": 80},
    {"max_tokens": 50},
)


@pytest.mark.parametrize(("given", "sent"), TRANSLATED.values(), ids=TRANSLATED)
@pytest.mark.parametrize("name", ["openai-chat", "openai-completions"])
def test_parameters_with_a_counterpart_are_renamed(name: str, given: dict[str, Any], sent: dict[str, Any]) -> None:
    """It is sent under OpenAI's name, without a warning; the caller's dictionary stays as it is."""
    requested = {"prompt": "Hi"} if name == "openai-completions" else {"messages": STATES}
    params = {**requested, **given}
    before = repr(params)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {**requested, **sent} == dialect(name).build_payload(params, stream=False)
    assert before == repr(params)


#: What is given, and what the warning names.
WARNED: list[tuple[dict[str, Any], str]] = [
    ({"typical_p": 0.9}, "typical_p"),
    ({"watermark": True}, "watermark"),
    ({"return_full_text": True}, "return_full_text"),
    ({"decoder_input_details": True}, "decoder_input_details"),
    ({"truncate": 100, "num_beams": 4}, "num_beams, truncate"),
    ({"parameters": {"max_length": 100}}, "max_length"),
    ({"max_new_tokens": 500, "max_tokens": 100}, "max_new_tokens"),
    ({"stop_sequences": ["a"], "stop": ["b"]}, "stop_sequences"),
    ({"num_return_sequences": 2, "n": 3}, "num_return_sequences"),
    ({"grammar": {"type": "regex", "value": "a+"}}, "grammar"),
]


@pytest.mark.parametrize(("given", "named"), WARNED, ids=[named for _, named in WARNED])
@pytest.mark.parametrize("name", ["openai-chat", "auto"])
def test_parameters_without_a_counterpart_emit_a_warning(name: str, given: dict[str, Any], named: str) -> None:
    """It is sent as it is, and a warning names it; what the caller has set in OpenAI's words stays."""
    with pytest.warns(RuntimeWarning, match=rf"^{named}: servers of the OpenAI API"):
        body = dialect(name).build_payload({"messages": STATES, **given}, stream=False)
    assert {name: value for name, value in given.items() if name in {"max_tokens", "stop", "n"}}.items() <= body.items()


def test_native_dialects_accept_them_unchanged() -> None:
    """Also in `parameters`, and also where the form is found out: nothing is lost on the way."""
    given = {"parameters": {"max_new_tokens": 50, "do_sample": True, "typical_p": 0.9, "stop_sequences": ["a"]}}
    requested = {"messages": STATES, **given}
    expected = {"max_new_tokens": 50, "do_sample": True, "typical_p": 0.9}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tgi = dialect("tgi").build_payload(requested, stream=False)["parameters"]
        lmi = dialect("lmi").build_payload(requested, stream=False)["parameters"]
        raw = dialect("tgi").build_payload({"inputs": "Hi", **given}, stream=False)["parameters"]
    assert {**expected, "stop": ["a"], "details": True, "return_full_text": False} == tgi == raw
    assert {**expected, "stop_sequences": ["a"], "details": True} == lmi


def test_an_explicit_do_sample_is_kept() -> None:
    """The temperature decides only if it is not set."""
    requested = {"messages": STATES, "temperature": 0.7}
    assert True is dialect("tgi").build_payload(requested, stream=False)["parameters"]["do_sample"]
    assert (
        False
        is dialect("tgi").build_payload({**requested, "do_sample": False}, stream=False)["parameters"]["do_sample"]
    )


_CHAT: dict[str, dict[str, Any]] = {
    "LangChain": {
        "OCI": lc.ChatOCIModelDeployment,
        "SageMaker": lc.ChatSagemakerEndpoint,
        "ModelArts": lc.ChatModelArts,
    },
    "LlamaIndex": {"OCI": li.OCIDataScience, "SageMaker": li.SageMakerLLM, "ModelArts": li.ModelArts},
}
GIVEN = {"max_new_tokens": 50, "do_sample": False, "return_full_text": False, "repetition_penalty": 1.1}
WHOLE = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize("platform", FIELDS)
@pytest.mark.parametrize("framework", _CHAT)
async def test_every_class(framework: str, platform: str) -> None:
    """Both frameworks on each platform, sync and async."""
    with responding(lambda body: (200, WHOLE)) as server:
        if framework == "LangChain":
            chat: Any = _CHAT[framework][platform](**FIELDS[platform](server), model_kwargs=GIVEN)
            content = [chat.invoke("Hi").text, (await chat.ainvoke("Hi")).text]
        else:
            llm: Any = _CHAT[framework][platform](**FIELDS[platform](server), additional_kwargs=GIVEN)
            content = [llm.complete("Hi").text, (await llm.acomplete("Hi")).text]
        assert ["Hi", "Hi"] == content
        for body in server.notes:
            sent = {name: body.get(name) for name in ("max_tokens", "temperature", "repetition_penalty")}  # type: ignore[attr-defined]
            assert {"max_tokens": 50, "temperature": 0, "repetition_penalty": 1.1} == sent
            assert not body.keys() & {"max_new_tokens", "do_sample", "return_full_text"}  # type: ignore[attr-defined]


def test_a_request_converted_to_inputs_has_the_native_names() -> None:
    """`auto` translates there and back."""

    def respond(body: dict[str, Any]) -> tuple[int, Any]:
        if "inputs" not in body:
            return 422, {"error": "missing field `inputs`", "error_type": "validation"}
        return 200, [{"generated_text": "Hi"}]

    given = {"max_new_tokens": 50, "do_sample": True, "top_k": 3, "min_new_tokens": 2}
    with responding(respond) as server:
        chat = lc.ChatSagemakerEndpoint(**FIELDS["SageMaker"](server), model_kwargs=given)
        with pytest.warns(RuntimeWarning, match="accepts `inputs`, not messages"):
            content = chat.invoke("Hi").text
        assert "Hi" == content
        assert given.items() <= server.notes[-1]["parameters"].items()  # type: ignore[index]
