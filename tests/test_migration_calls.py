"""Each constructor call and method call of other packages runs here, and returns the same kind of result."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from _migration_calls import CONSTRUCTORS, calls_of, kind_of_result
from _migration_table import PAGES, RECORDED, ROOT, SAME, namespace, rows, with_tables

from mdstream_core.emulator import Emulator

pytestmark = [
    pytest.mark.skipif(find_spec("oci") is None, reason="the calls pass clients of the oci SDK; install oci"),
    pytest.mark.skipif(find_spec("boto3") is None, reason="the calls pass boto3 clients; install mdstream-llm[aws]"),
]


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, with the environment that boto3 and the OCI SDK read."""
    shared_emulator.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", shared_emulator.url)
    return shared_emulator


def build(emulator: Emulator, package: str, name: str) -> Any:
    """A model of ours by the constructor call of another package."""
    ours = namespace(package)
    return getattr(ours, name)(**CONSTRUCTORS[package, name](emulator, ours))


# methods

#: Beginnings of kinds for calls that the other package does not complete, where only success is expected here.
FAILED = ("no such method", "does not end", "error: ")

CALLS = {
    f"{package} {name}, {method}": (package, name, method)
    for package, name in CONSTRUCTORS
    for method in calls_of(package, name)
}


@pytest.mark.parametrize(("package", "name", "method"), CALLS.values(), ids=CALLS)
async def test_methods(emulator: Emulator, package: str, name: str, method: str) -> None:
    """The kind of result is that of the other package, which was recorded; where it fails, any result is better."""
    expected = RECORDED["kinds"][f"{package} {name}"][method]
    if expected == "no such method" and not hasattr(getattr(namespace(package), name), method):
        pytest.skip("neither package has the method")
    kind = await kind_of_result(build(emulator, package, name), calls_of(package, name)[method])

    if not expected.startswith(FAILED):
        assert expected == kind


def test_every_recorded_call_is_made() -> None:
    """No call was removed without being recorded again."""
    recorded = {(owner, method) for owner, methods in RECORDED["kinds"].items() for method in methods}

    assert {(f"{package} {name}", method) for package, name, method in CALLS.values()} == recorded


# constructors

_PROMPT_FUNCTIONS = {
    "completion_to_prompt": lambda prompt, system_prompt=None: f"[INST] {prompt}",
    "messages_to_prompt": lambda messages: "[INST] " + messages[-1].content,
}


def _callback_manager() -> Any:
    from llama_index.core.callbacks import CallbackManager  # noqa: PLC0415

    return CallbackManager([])


def _config() -> Any:
    from botocore.config import Config  # noqa: PLC0415

    return Config(read_timeout=30, retries={"max_attempts": 1})


def _output_parser() -> Any:
    from llama_index.core.types import BaseOutputParser  # noqa: PLC0415

    class Parser(BaseOutputParser):
        def parse(self, output: str) -> Any:
            return output

    return Parser()


#: A value for each constructor argument; a function is called for it.
VALUES: dict[str, Any] = {
    "additional_kwargs": {"user": "me"},
    "api": "/generate",
    "auth_file_location": "~/.oci/config",
    "auth_profile": "DEFAULT",
    "auth_type": "API_KEY",
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_region_name": "us-east-1",
    "aws_secret_access_key": "secret",
    "aws_session_token": "token",
    "batch_size": 2,
    "best_of": 1,
    "callback_manager": _callback_manager,
    "chat_template": "{{ messages }}",
    "config": _config,
    "context_size": 8000,
    "context_window": 8000,
    "credentials_profile_name": "",
    "default_headers": {"x-request": "1"},
    "do_sample": True,
    "early_stopping": False,
    "embed_batch_size": 16,
    "endpoint_kwargs": {"CustomAttributes": "accept_eula=true"},
    "frequency_penalty": 0.1,
    "ignore_eos": False,
    "inference_component_name": "component",
    "input_type": "SEARCH_DOCUMENT",
    "is_chat_model": True,
    "is_function_calling_model": True,
    "is_stream": True,
    "k": 5,
    "length_penalty": 1.0,
    "logit_bias": {"1": 2.0},
    "logprobs": None,
    "max_chunks_per_document": 3,
    "max_retries": 1,
    "max_sequential_tool_calls": 8,
    "max_tokens": 64,
    "max_tokens_per_document": 100,
    "min_p": 0.0,
    "min_tokens": 1,
    "model": "odsc-llm",
    "model_kwargs": {"temperature": 0.5},
    "model_name": "cohere.embed-v4.0",
    "n": 1,
    "output_dimensions": 256,
    "output_parser": _output_parser,
    "p": 0.9,
    "presence_penalty": 0.1,
    "profile_name": None,
    "region_name": "us-east-1",
    "provider": "generic",
    "pydantic_program_mode": "default",
    "repetition_penalty": 1.1,
    "return_full_text": False,
    "score_threshold": 0.0,
    "seed": 42,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "stop": ["END"],
    "stop_token_ids": [1],
    "stream_usage": True,
    "streaming": True,
    "strict": False,
    "suffix": "the end",
    "system_prompt": "Be short.",
    "temperature": 0.5,
    "timeout": 60,
    "tool_choice": "auto",
    "tool_result_guidance": True,
    "top_k": 5,
    "top_logprobs": None,
    "top_n": 1,
    "top_p": 0.9,
    "truncate": "END",
    "use_beam_search": False,
    "use_responses_api": False,
    "watermark": True,
}

#: Arguments whose value depends on the class.
SPECIAL: dict[str, Any] = {
    "OCIGenAI.model": "meta.llama-3.3-70b-instruct",
    "OCIDataScienceEmbedding.model_name": "odsc-llm",
    "OCIModelDeploymentEmbeddings.endpoint_kwargs": {"timeout": 30},
    "OCIModelDeploymentEndpointEmbeddings.endpoint_kwargs": {"timeout": 30},
    "OCIModelDeploymentEndpointEmbeddings.model_kwargs": {"user": "me"},
    "SagemakerEndpointEmbeddings.model_kwargs": {"truncate": True},
    "SageMakerEmbedding.model_kwargs": {"truncate": True},
    "OCIGenAIEmbeddings.model_kwargs": {"is_echo": True},
    "OCIGenAIEmbeddings.model_name": "cohere.embed-v4.0",
    "langchain-oci OCIGenAI.provider": "cohere",
    "langchain-community OCIGenAI.provider": "cohere",
    "llama-index-llms-oci-genai OCIGenAI.provider": "meta",
    "ChatSagemakerEndpoint.model_kwargs": {"max_tokens": 64},
}

ARGUMENTS = {
    f"{package} {row.owner}, {row.name}": (package, row.owner, row.name)
    for package in RECORDED["names"]
    for row in rows(package)
    if row.status == SAME
    and (package, row.owner) in CONSTRUCTORS
    and row.name in RECORDED["names"][package]["names"][row.owner]["arguments"]
}


#: Arguments that replace others of the call.
REPLACED: dict[str, tuple[str, ...]] = {
    "aws_access_key_id": ("client",),
    "aws_secret_access_key": ("client",),
    "aws_session_token": ("client",),
    "region_name": ("aws_region_name",),
}
_KEYS = {name: VALUES[name] for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")}


def value_of(package: str, name: str, argument: str, given: dict[str, Any], url: str) -> Any:
    """The value of an argument: of the table, or the address or client that the call has anyway."""
    names = (f"{package} {name}.{argument}", f"{name}.{argument}")
    for table, key in [(SPECIAL, names[0]), (SPECIAL, names[1]), (VALUES, argument)]:
        if key in table:
            return table[key]() if callable(table[key]) else table[key]
    return _PROMPT_FUNCTIONS.get(argument) or given.get(argument, url)


@pytest.mark.parametrize(("package", "name", "argument"), ARGUMENTS.values(), ids=ARGUMENTS)
async def test_constructor_arguments(emulator: Emulator, package: str, name: str, argument: str) -> None:
    """A model with the argument responds."""
    ours = namespace(package)
    given = CONSTRUCTORS[package, name](emulator, ours)
    value = value_of(package, name, argument, given, emulator.url)
    others = {other: value for other, value in given.items() if other not in REPLACED.get(argument, ())}
    model = getattr(ours, name)(**{**others, **(_KEYS if argument in _KEYS else {}), argument: value})
    method = next(iter(calls_of(package, name)))

    assert await kind_of_result(model, calls_of(package, name)[method])


# tables


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_of_the_pages(page: str) -> None:
    """They are those of the classes as they are now; `python -m benchmarks.migration --tables` writes them."""
    text = (ROOT / page).read_text(encoding="utf-8")

    assert with_tables(page, text) == text
