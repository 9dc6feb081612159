"""Structured predictions: by tool, by schema, from the text; streamed or not."""

import asyncio
import json
from typing import Any

import pytest
from _stream_endings import REQUEST
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from llamaindex_mdstream import OCIDataScience
from mdstream_core import errors
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.emulator.model import ModelOutput, ToolCall

MESSAGES = [ChatMessage(REQUEST)]


class River(BaseModel):
    """A river."""

    name: str
    length: int


PROMPT = PromptTemplate("Tell me of the river {name}.")
RIVER = {"name": "Nile", "length": 6650}


def _river(request: dict[str, Any]) -> ModelOutput | str:
    """Fills the requested tool or schema."""
    text = json.dumps(RIVER)
    if request.get("tools"):
        return ModelOutput.from_text(
            "", "", [ToolCall("call_1", "River", tuple(text[at : at + 4] for at in range(0, len(text), 4)))]
        )
    return text


STRUCTURED = [{}, {"should_use_structured_outputs": True}, {"is_function_calling_model": False}]


@pytest.mark.parametrize("fields", STRUCTURED, ids=["tool", "schema", "text"])
def test_structured_predictions(fields: dict[str, Any]) -> None:
    """
    Predictions use a required tool, a schema, or the text; sync and async, streamed if LlamaIndex supports it.
    """
    with Emulator(model=_river) as emulator:
        llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none", max_retries=0, **fields)
        options = {"seed": 1}
        whole = llm.structured_predict(River, PROMPT, llm_kwargs=options, name="Nile")

        assert River(**RIVER) == whole == asyncio.run(llm.astructured_predict(River, PROMPT, name="Nile"))
        assert {"seed": 1} == options
        assert River(**RIVER).model_dump_json() == llm.as_structured_llm(River).chat(MESSAGES).message.content


async def _streamed(llm: OCIDataScience) -> list[Any]:
    return [river async for river in await llm.astream_structured_predict(River, PROMPT, name="Nile")]


@pytest.mark.parametrize("fields", STRUCTURED[:2], ids=["tool", "schema"])
def test_streamed_structured_predictions(fields: dict[str, Any]) -> None:
    """
    The object is filled while it is streamed; the request has the schema.
    """
    with Emulator(model=_river) as emulator:
        llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none", max_retries=0, **fields)
        rivers = list(llm.stream_structured_predict(River, PROMPT, name="Nile"))
        sent = emulator.last.json

        assert RIVER == rivers[-1].model_dump() == asyncio.run(_streamed(llm))[-1].model_dump()
        assert any(getattr(river, "name", None) == "Nile" and not isinstance(river, River) for river in rivers)
        assert "required" == sent.get("tool_choice", "required")
        assert ("tools" in sent) != ("response_format" in sent)


def test_failed_structured_streams_raise() -> None:
    """
    A failed stream raises after the last partial object.
    """
    with Emulator(model=_river) as emulator:
        llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none", max_retries=0)
        emulator.script(Fault("trailer", after=5), Fault("trailer"))

        with pytest.raises(errors.StreamTimeout):
            list(llm.stream_structured_predict(River, PROMPT, name="Nile"))
        with pytest.raises(errors.StreamTimeout):
            asyncio.run(_streamed(llm))
