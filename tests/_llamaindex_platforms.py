"""LlamaIndex models of each platform on the emulator, and the failures of their streams."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from _sagemaker import KEYS
from _stream_endings import BEGINNING, ENDINGS, REQUEST, RESPONSES_ENDINGS, Ending, after_responses_head
from llama_index.core.llms import ChatMessage

from llamaindex_mdstream import MDStreamLLM, ModelArts, OCIDataScience, OCIGenAI, SageMakerLLM
from mdstream_core import errors
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.services.modelarts import HuaweiAccount

#: Accounts of the emulator. Oracle's services accept everybody.
ACCOUNTS: dict[str, Any] = {
    "aws_keys": KEYS,
    "huawei": HuaweiAccount(access_keys={"AK": "SK"}, app_codes=["CODE"], api_keys=["KEY"]),
}
AWS = {"aws_access_key_id": "AKEMULATED", "aws_secret_access_key": KEYS["AKEMULATED"], "region_name": "us-east-1"}


@dataclass(frozen=True)
class PlatformCase:
    """One platform.

    Attributes:
        build: Creates a model of the platform, with further fields.
        endings: Failures of its streams, by name.
        transient_error: An error response that allows a retry.
        permanent_error: An error response that does not: the model does not exist.
    """

    build: Callable[..., MDStreamLLM]
    endings: dict[str, Ending]
    transient_error: Fault
    permanent_error: Fault


def _deployment(emulator: Emulator, **fields: Any) -> MDStreamLLM:
    return OCIDataScience(endpoint=emulator.endpoint, **{"auth_type": "none", **fields})


def _generative(model: str) -> Callable[..., MDStreamLLM]:
    def build(emulator: Emulator, **fields: Any) -> MDStreamLLM:
        at = emulator.oci_genai
        requested = {"model": model, "auth_type": "none", **fields}
        return OCIGenAI(service_endpoint=at.endpoint, compartment_id=at.compartment_id, **requested)

    return build


def _sagemaker(emulator: Emulator, **fields: Any) -> MDStreamLLM:
    pytest.importorskip("botocore", reason="botocore signs for AWS; install mdstream-llm[aws]")
    at = emulator.sagemaker
    return SageMakerLLM(**{**AWS, "endpoint_name": at.endpoint_name, "endpoint_url": at.endpoint_url, **fields})


def _modelarts(emulator: Emulator, **fields: Any) -> MDStreamLLM:
    return ModelArts(endpoint=emulator.modelarts.endpoint, ak="AK", sk="SK", **{"model": "m", **fields})


def _websocket(emulator: Emulator, **fields: Any) -> MDStreamLLM:
    return ModelArts(endpoint=emulator.modelarts.websocket_endpoint, app_code="CODE", **{"model": "m", **fields})


def _maas(emulator: Emulator, **fields: Any) -> MDStreamLLM:
    return ModelArts(endpoint=emulator.modelarts.maas, api_key="KEY", **{"model": "m", **fields})


#: Failures of every HTTP stream.
_ANYWHERE = {name: ending for name, ending in ENDINGS.items() if "trailer" not in name}

#: Failures of framed streams: a truncated HTTP chunk would not truncate a frame.
_FRAMED = {name: ending for name, ending in _ANYWHERE.items() if name != "cut in a chunk"}

#: Failures of streams that end with their finish event; failures after it are not seen. No event has only the role.
_FINISHED = {
    name: replace(ending, text=f"{BEGINNING},") for name, ending in _ANYWHERE.items() if name != "cut after [DONE]"
}


def _frame(spelling: str, kind: type[errors.MDStreamError], code: str) -> Ending:
    return Ending(Fault("exception_frame", spelling, after=3), kind, code=code)


def _damaged(fault: Fault, kind: type[errors.MDStreamError], code: str) -> Ending:
    return Ending(fault, kind, code=code)


_EXCEPTIONS = {
    "exception, too long": _frame("ModelInvocationTimeExceeded", errors.StreamTimeout, "ModelInvocationTimeExceeded"),
    "exception, broken": _frame("StreamBroken", errors.StreamFailure, "StreamBroken"),
    "exception, internal": _frame("InternalStreamFailure", errors.StreamFailure, "InternalStreamFailure"),
    "error frame": _frame("error", errors.StreamFailure, "InternalError"),
    "wrong checksum": _damaged(Fault("damaged_frame", after=3), errors.MalformedStream, "ChecksumMismatch"),
    "wrong prelude": _damaged(Fault("damaged_frame", "prelude", after=3), errors.MalformedStream, "ChecksumMismatch"),
    "half a frame": _damaged(Fault("partial_frame", after=3), errors.StreamInterrupted, "PartialMessage"),
}


def _closed(code: int, kind: type[errors.MDStreamError] = errors.StreamFailure) -> Ending:
    return Ending(Fault("trailer", after=3, name="close", data=b"%d why" % code), kind, code=str(code))


_CLOSED = {f"closed with {code}": _closed(code) for code in (1008, 1011, 1013)}

_ORACLE: dict[str, Any] = {
    "transient_error": Fault("refuse", "unavailable", retry_after="0"),
    "permanent_error": Fault("refuse", "not_found"),
}
_HUAWEI: dict[str, Any] = {
    "transient_error": Fault("refuse", "modelarts_backend", retry_after="0"),
    "permanent_error": Fault("refuse", "maas_model"),
}
_AMAZON: dict[str, Any] = {
    "transient_error": Fault("refuse_aws", "ServiceUnavailable", retry_after="0"),
    "permanent_error": Fault("refuse_aws", "not_found"),
}

PLATFORM_CASES: dict[str, PlatformCase] = {
    "deployment": PlatformCase(_deployment, ENDINGS, **_ORACLE),
    "generic": PlatformCase(_generative("meta.llama-3.3-70b-instruct"), _FINISHED, **_ORACLE),
    "cohere": PlatformCase(_generative("cohere.command-r-plus"), _FINISHED, **_ORACLE),
    "sagemaker": PlatformCase(_sagemaker, {**_FRAMED, **_EXCEPTIONS}, **_AMAZON),
    "modelarts": PlatformCase(_modelarts, _ANYWHERE, **_HUAWEI),
    "websocket": PlatformCase(_websocket, {**_FRAMED, **_CLOSED}, **_HUAWEI),
    "maas": PlatformCase(_maas, _ANYWHERE, **_HUAWEI),
}


def _with_responses(build: Callable[..., MDStreamLLM]) -> Callable[..., MDStreamLLM]:
    return lambda emulator, **fields: build(emulator, **{"dialect": "openai-responses", **fields})


def _genai_responses(emulator: Emulator, **fields: Any) -> MDStreamLLM:
    store = emulator.oci_genai.conversation_store_id
    options = {"dialect": "openai-responses", "conversation_store_id": store, "temperature": None}
    return _generative("openai.gpt-5")(emulator, **{**options, **fields})


def _responses(endings: dict[str, Ending]) -> dict[str, Ending]:
    """Return the endings of a platform for OpenAI's Responses API."""
    return {name: RESPONSES_ENDINGS[name] for name in endings if name in RESPONSES_ENDINGS} | {
        name: after_responses_head(ending) for name, ending in endings.items() if name not in ENDINGS
    }


#: OpenAI's Responses API on each platform.
RESPONSES_CASES: dict[str, PlatformCase] = {
    "deployment": PlatformCase(_with_responses(_deployment), RESPONSES_ENDINGS, **_ORACLE),
    "genai": PlatformCase(_genai_responses, _responses(_ANYWHERE), **_ORACLE),
    "sagemaker": PlatformCase(
        _with_responses(partial(_sagemaker, endpoint_name="responses")),
        _responses({**_FRAMED, **_EXCEPTIONS}),
        **_AMAZON,
    ),
    "modelarts": PlatformCase(_with_responses(_modelarts), _responses(_ANYWHERE), **_HUAWEI),
    "websocket": PlatformCase(_with_responses(_websocket), _responses({**_FRAMED, **_CLOSED}), **_HUAWEI),
    "maas": PlatformCase(_with_responses(_maas), _responses(_ANYWHERE), **_HUAWEI),
}

#: Every failure on every platform; MaaS differs from ModelArts only in authentication.
BROKEN = {
    f"{name}: {ending}": (platform_case, platform_case.endings[ending])
    for name, platform_case in {
        **PLATFORM_CASES,
        **{f"responses on {platform}": platform_case for platform, platform_case in RESPONSES_CASES.items()},
    }.items()
    for ending in platform_case.endings
    if not name.endswith("maas")
}

#: One failure of each kind.
FEW = {
    name: case
    for name, case in BROKEN.items()
    if name.endswith(
        ("trailer json after [DONE]", "of vllm", ": cut", "no finish reason", "broken", "closed with 1011")
    )
}


Read = Callable[[MDStreamLLM, list[Any]], None]


def _stream_chat(llm: MDStreamLLM, got: list[Any]) -> None:
    for response in llm.stream_chat([ChatMessage(REQUEST)]):
        got.append(response)  # noqa: PERF402  # responses before an error must be kept


def _stream_complete(llm: MDStreamLLM, got: list[Any]) -> None:
    for response in llm.stream_complete(REQUEST):
        got.append(response)  # noqa: PERF402  # responses before an error must be kept


def _astream_chat(llm: MDStreamLLM, got: list[Any]) -> None:
    async def read() -> None:
        async for response in await llm.astream_chat([ChatMessage(REQUEST)]):
            got.append(response)  # noqa: PERF401  # responses before an error must be kept

    asyncio.run(read())


def _astream_complete(llm: MDStreamLLM, got: list[Any]) -> None:
    async def read() -> None:
        async for response in await llm.astream_complete(REQUEST):
            got.append(response)  # noqa: PERF401  # responses before an error must be kept

    asyncio.run(read())


STREAMS: dict[str, Read] = {
    "stream_chat": _stream_chat,
    "stream_complete": _stream_complete,
    "astream_chat": _astream_chat,
    "astream_complete": _astream_complete,
}
WHOLE: dict[str, Read] = {
    "chat": lambda llm, got: got.append(llm.chat([ChatMessage(REQUEST)])),
    "complete": lambda llm, got: got.append(llm.complete(REQUEST)),
    "achat": lambda llm, got: got.append(asyncio.run(llm.achat([ChatMessage(REQUEST)]))),
    "acomplete": lambda llm, got: got.append(asyncio.run(llm.acomplete(REQUEST))),
}
ALL = {**STREAMS, **WHOLE}
