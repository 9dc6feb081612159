"""`GenerateColumn` on the emulator: interrupted streams are sent again, errors are values, structured output."""

from collections.abc import Iterator
from typing import Any

import pytest
from _json_server import responding
from _rows import CHAT_CASES, FRAMEWORKS, chat_of, emulator_of_rows
from langchain_core.callbacks import UsageMetadataCallbackHandler
from pydantic import BaseModel, Field

import langchain_mdstream as lc
import llamaindex_mdstream as li
from mdstream_core import errors
from mdstream_core.batch import GenerateColumn, RowError, summarize
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model import ModelOutput

in_both = pytest.mark.parametrize("framework", FRAMEWORKS)
each_platform = pytest.mark.parametrize("case", CHAT_CASES.values(), ids=CHAT_CASES)

#: A message without usage before it, and one in the middle of which the stream breaks.
INTERRUPTED = Fault("cut", after=3)


class Person(BaseModel):
    """A person."""

    name: str
    age: int = Field(ge=0)


def model(request: dict[str, Any]) -> Any:
    """Repeat the last message; some texts are rejected, refused or filtered."""
    text = str(request["messages"][-1]["content"])
    if text.startswith("reject"):
        raise ValueError("the model rejects this text")
    if text.startswith("filter"):
        return ModelOutput(("Once", " upon"), finish="content_filter")
    return text


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with emulator_of_rows(model) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The module's emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


@in_both
@each_platform
@pytest.mark.parametrize("streaming", [False, True])
def test_each_prompt_gets_its_output(framework: str, case: Any, streaming: bool, emulator: Emulator) -> None:
    """
    With token counts and request id; prompts and messages.
    """
    prompts = ["one two three four", [{"role": "user", "content": "five"}, {"role": "user", "content": "six seven"}]]
    out = GenerateColumn(chat_of(framework, emulator, case), "prompt", streaming=streaming)({"prompt": prompts})

    assert ["one two three four", "six seven"] == out["answer"]
    assert [None, None] == out["error"] == out["partial"]
    assert all(isinstance(count, int) and count > 0 for count in [*out["input_tokens"], *out["output_tokens"]])
    if "websocket" not in case.kind:
        assert 2 == len(set(out["request_id"]))


@in_both
@each_platform
def test_an_interrupted_stream_is_sent_again(framework: str, case: Any, emulator: Emulator) -> None:
    """
    As a whole, because nobody has read it.
    """
    chat = chat_of(framework, emulator, case, max_retries=1)
    emulator.script(INTERRUPTED)
    out = GenerateColumn(chat, "prompt", streaming=True, max_concurrency=1)({"prompt": ["one two three four five"]})

    assert ["one two three four five"] == out["answer"]
    assert [None] == out["error"]
    assert 2 == len(emulator.requests)


@in_both
@each_platform
def test_the_last_interruption_is_the_error_of_the_row(framework: str, case: Any, emulator: Emulator) -> None:
    """
    `partial` has the text that was received; other rows are not affected.
    """
    chat = chat_of(framework, emulator, case, max_retries=1)
    emulator.script(INTERRUPTED, INTERRUPTED)
    prompts = ["one two three four five", "six"]
    out = GenerateColumn(chat, "prompt", streaming=True, max_concurrency=1)({"prompt": prompts})

    assert [None, "six"] == out["answer"]
    assert "StreamInterrupted" == out["error"][0].partition(":")[0].split()[0]
    assert out["partial"][0]
    assert prompts[0].startswith(out["partial"][0])
    assert 3 == len(emulator.requests)


@in_both
def test_the_retry_budget_bounds_interrupted_streams(framework: str, emulator: Emulator) -> None:
    """
    A service whose streams all break does not get each request several times for ever: 100 retries, as of calls.
    """
    emulator.always(Fault("error_event", "vllm", after=1))
    chat = chat_of(framework, emulator, max_retries=1)
    service = chat.service if framework == "langchain" else chat._get_service()
    service.retry = type(service.retry)(1, base_delay=0.0)
    out = GenerateColumn(chat, "prompt", streaming=True)({"prompt": ["one two three"] * 120})

    assert all(error.startswith("StreamFailure") for error in out["error"])
    assert 120 + 100 == len(emulator.requests)


@in_both
def test_rejected_rows_do_not_affect_others(framework: str, emulator: Emulator) -> None:
    """
    Invalid values are not sent; output that the model refused or a filter stopped is no answer.
    """
    prompts: list[Any] = ["a", "reject", None, 5, [], [{"text": "x"}], "filter", "b"]
    out = GenerateColumn(chat_of(framework, emulator), "prompt")({"prompt": prompts})

    assert ["a", None, None, None, None, None, None, "b"] == out["answer"]
    assert [
        "InvalidRequest BadRequestError",
        "RowError MissingValue",
        "RowError InvalidValue",
        "RowError InvalidValue",
        "RowError InvalidValue",
        "RowError ContentFiltered",
    ] == [error.partition(":")[0] for error in out["error"][1:-1]]
    assert "Once upon" == out["partial"][6]
    assert 4 == len(emulator.requests)
    assert 6 == summarize(out).failed


@in_both
def test_a_refusal_is_no_output(framework: str) -> None:
    """
    Its text is in `partial`.
    """
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    document = {
        "id": "c",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    with responding(lambda body: (200, document)) as server:
        cls = lc.ChatOCIModelDeployment if framework == "langchain" else li.OCIDataScience
        chat: Any = cls(endpoint=f"{server.url}/ocid1.x", auth_type="none")
        out = GenerateColumn(chat, "prompt")({"prompt": ["x"]})

    assert [None] == out["answer"]
    assert ["I cannot help with that."] == out["partial"]
    assert "RowError ModelRefusal: the model refused: I cannot help with that." == out["error"][0]


@in_both
def test_invalid_messages_are_errors_of_their_row(framework: str, emulator: Emulator) -> None:
    """
    A role or a part that the framework does not know.
    """
    values = [
        [{"role": "nobody", "content": "x"}],
        [{"role": "user", "content": [{"type": "hologram"}]}],
        [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    ]
    out = GenerateColumn(chat_of(framework, emulator), "prompt")({"prompt": values})

    assert ["RowError InvalidValue"] * 2 == [str(error).partition(":")[0] for error in out["error"][:2]]
    assert out["error"][2] is None
    assert 1 == len(emulator.requests)


@in_both
def test_the_system_prompt_is_first(framework: str, emulator: Emulator) -> None:
    """
    Braces are no template.
    """
    GenerateColumn(chat_of(framework, emulator), "prompt", system="Answer as {json}.")({"prompt": ["Name {x}"]})

    assert [("system", "Answer as {json}."), ("user", "Name {x}")] == [
        (message["role"], message["content"]) for message in emulator.last.json["messages"]
    ]


@in_both
def test_errors_of_every_row_are_raised(framework: str, emulator: Emulator) -> None:
    """
    The rows that were finished before are in `batch`; rows that were not sent say so.
    """
    emulator.script(None, Fault("refuse", "not_authenticated"))
    chat = chat_of(framework, emulator)
    with pytest.raises(errors.AuthenticationError) as raised:
        GenerateColumn(chat, "prompt", max_concurrency=1)({"prompt": ["a", "b", "c"]})
    finished = vars(raised.value)["batch"]

    assert ["a", None, None] == finished["answer"]
    assert 2 == len(emulator.requests)

    emulator.script(None, Fault("refuse", "not_authenticated"))
    out = GenerateColumn(chat, "prompt", max_concurrency=1, on_error="row")({"prompt": ["a", "b", "c"]})
    assert ["a", None, "c"] == out["answer"]


@in_both
def test_on_error_raise_raises_the_first_error(framework: str, emulator: Emulator) -> None:
    """
    Of any row.
    """
    with pytest.raises(errors.InvalidRequest, match="the model rejects this text"):
        GenerateColumn(chat_of(framework, emulator), "prompt", on_error="raise")({"prompt": ["reject"]})


@in_both
@pytest.mark.parametrize("schema", [Person, Person.model_json_schema(), {"type": "object", "properties": {}}])
@pytest.mark.parametrize("streaming", [None, True])
def test_structured_output_is_a_dict(framework: str, schema: Any, streaming: bool | None) -> None:
    """
    For a class and for a JSON schema, also one without a title; `as_json` gives text.
    """
    with Emulator() as emulator:
        chat = chat_of(framework, emulator)
        column = GenerateColumn(chat, "prompt", into="person", schema=schema, streaming=streaming)
        out = column({"prompt": ["Ada is 36 years old."]})
        text = GenerateColumn(chat, "prompt", schema=schema, as_json=True)({"prompt": ["Ada is 36 years old."]})

    expected = {} if not isinstance(schema, type) and "title" not in schema else {"name": "Ada", "age": 36}
    assert [expected] == out["person"]
    assert out["error"] == [None]
    assert isinstance(text["answer"][0], str)


@in_both
@pytest.mark.parametrize("text", ['{"name": "Ada", "age": -1}', '{"name": "Ada"', "Ada is 36."])
def test_output_that_does_not_follow_the_schema_is_an_error(framework: str, text: str, emulator: Emulator) -> None:
    """
    `partial` has the text, and the tokens are counted.
    """
    options = {"should_use_structured_outputs": True} if framework == "llamaindex" else {}
    chat = chat_of(framework, emulator, **options)
    out = GenerateColumn(chat, "prompt", schema=Person)({"prompt": [text]})

    assert [None] == out["answer"]
    assert "RowError InvalidOutput" == out["error"][0].partition(":")[0]
    assert [text] == out["partial"]
    assert out["output_tokens"][0] > 0


def test_completion_models_generate_too(emulator: Emulator) -> None:
    """
    Of LangChain, and LlamaIndex' with `is_chat_model=False`; the prompt is sent as it is.
    """
    fields = {"endpoint": emulator.endpoint, "auth_type": "none"}
    for llm in (lc.OCIModelDeploymentLLM(**fields), li.OCIDataScience(**fields, is_chat_model=False)):
        for streaming in (None, True):
            out = GenerateColumn(llm, "prompt", streaming=streaming)({"prompt": ["Name three rivers."]})
            assert [None] == out["error"]
            assert "Name three rivers." == emulator.last.json["prompt"]
    with pytest.raises(ValueError, match=r"schema is not supported by OCIModelDeploymentLLM \(hint: use a chat model"):
        GenerateColumn(lc.OCIModelDeploymentLLM(**fields), "prompt", schema=Person)({"prompt": ["x"]})


def test_invalid_arguments_are_named(emulator: Emulator) -> None:
    """
    When the column is created.
    """
    with pytest.raises(TypeError, match=r"model has the type str \(hint: pass a chat model"):
        GenerateColumn("model", "prompt")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="schema='x' has the type str"):
        GenerateColumn(chat_of("langchain", emulator), "prompt", schema="x")


def test_callbacks_of_the_framework_are_called(emulator: Emulator) -> None:
    """
    Rows use the framework's own methods.
    """
    usage = UsageMetadataCallbackHandler()
    out = GenerateColumn(chat_of("langchain", emulator, callbacks=[usage]), "prompt")({"prompt": ["a", "b"]})

    (counted,) = usage.usage_metadata.values()
    assert sum(out["input_tokens"]) == counted["input_tokens"]


def test_no_secret_is_in_an_error(emulator: Emulator) -> None:
    """
    Neither in the column nor in its repr.
    """
    emulator.script(Fault("refuse", "not_authenticated"))
    chat = lc.ChatOCIModelDeployment(endpoint=emulator.endpoint, api_key="SECRET-KEY", max_retries=0)
    column = GenerateColumn(chat, "prompt", on_error="row")
    out = column({"prompt": ["a"]})

    assert out["error"][0].startswith("AuthenticationError")
    assert "SECRET" not in f"{out} {column!r}"


def test_the_error_class_is_public() -> None:
    """
    And is one of ours.
    """
    assert issubclass(RowError, errors.MDStreamError)
