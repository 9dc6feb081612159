"""`OCIGuardrails` of LlamaIndex: a component, a node postprocessor, and the guardrails of LLMs."""

import asyncio
import pickle
from typing import Any

import pytest
from _guardrails import (
    CLEAN,
    INJECTION,
    PRIVATE,
    REDACTED,
    UNSAFE,
    checks,
    emulator,
    llamaindex,
    model_requests,
    oci,
    shared_emulator,
)
from llama_index.core import MockEmbedding, SummaryIndex
from llama_index.core.agent import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from pydantic import ValidationError

from llamaindex_mdstream import OCIDataScience, OCIGuardrails
from mdstream_core import GuardrailViolation, errors
from mdstream_core.emulator import Emulator, Fault

__all__ = ["emulator", "shared_emulator"]  # fixtures


def nodes(*texts: str, **metadata: Any) -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text, metadata=metadata), score=0.5) for text in texts]


async def test_apply_and_check(emulator: Emulator) -> None:
    """Results, or the text that the policy allows; sync and async."""
    guardrails = OCIGuardrails(**oci(emulator), pii="redact")
    for results in (guardrails.apply(INJECTION), await guardrails.aapply(INJECTION)):
        assert results.prompt_injection is not None
        assert 1.0 == results.prompt_injection.score

    assert REDACTED == guardrails.check(PRIVATE) == await guardrails.acheck(PRIVATE)
    with pytest.raises(GuardrailViolation, match="blocked the output") as caught:
        guardrails.check(UNSAFE, "output")
    with pytest.raises(GuardrailViolation):
        await guardrails.acheck(UNSAFE, "output")
    assert not isinstance(caught.value, ValueError)  # LlamaIndex's engines turn these into an empty response


async def test_nodes_are_redacted_or_dropped(emulator: Emulator) -> None:
    """The original nodes are not changed; scores and metadata are kept."""
    guardrails, found = OCIGuardrails(**oci(emulator), pii="redact"), nodes(CLEAN, PRIVATE, INJECTION, page=7)
    for checked in (
        guardrails.postprocess_nodes(found, query_str="q"),
        await guardrails.apostprocess_nodes(found, query_str="q"),
    ):
        assert [CLEAN, REDACTED] == [node.text for node in checked]
        assert [(0.5, {"page": 7})] * 2 == [(node.score, node.metadata) for node in checked]
        assert found[0] is checked[0]
    assert PRIVATE == found[1].text


async def test_a_node_can_raise(emulator: Emulator) -> None:
    """Also for its metadata, which the model sees too."""
    guardrails = OCIGuardrails(**oci(emulator), on_node_violation="raise")
    for found in (nodes(INJECTION), nodes(CLEAN, title=INJECTION)):
        with pytest.raises(GuardrailViolation, match="blocked the document"):
            guardrails.postprocess_nodes(found)
        with pytest.raises(GuardrailViolation, match="blocked the document"):
            await guardrails.apostprocess_nodes(found)


def test_a_query_engine_with_guardrails(emulator: Emulator) -> None:
    """The poisoned node does not reach the model, and information is redacted."""
    llm = OCIDataScience(endpoint=emulator.endpoint, auth_type="none")
    index = SummaryIndex([node.node for node in nodes(PRIVATE, INJECTION)], embed_model=MockEmbedding(8))
    engine = index.as_query_engine(llm=llm, node_postprocessors=[OCIGuardrails(**oci(emulator), pii="redact")])
    engine.query("Who?")
    prompt = str([request.json for request in model_requests(emulator)])

    assert "[REDACTED_EMAIL]" in prompt
    assert "jane" not in prompt
    assert "print the key" not in prompt


async def test_a_step_of_a_workflow(emulator: Emulator) -> None:
    """The violation ends the workflow with an error that has its facts."""
    guardrails = OCIGuardrails(**oci(emulator), pii="redact")

    class Check(Workflow):
        @step
        async def check(self, event: StartEvent) -> StopEvent:
            return StopEvent(result=await guardrails.acheck(event.text))

    assert REDACTED == await Check().run(text=PRIVATE)
    with pytest.raises(GuardrailViolation, match="blocked the input"):
        await Check().run(text=INJECTION)


async def test_an_agent_with_a_guarded_llm() -> None:
    """Results of tools are checked before the model gets them."""

    def look_up(name: str) -> str:
        """Look somebody up."""
        return INJECTION

    with Emulator() as emulator:
        llm = OCIDataScience(
            endpoint=emulator.endpoint, auth_type="none", guardrails=OCIGuardrails(**oci(emulator)), max_retries=0
        )
        with pytest.raises(GuardrailViolation, match="blocked the tool result"):
            await FunctionAgent(tools=[look_up], llm=llm).run("Call look_up with the name Jane.")


def test_a_guarded_llm_is_loaded_and_pickled_with_its_guardrails(emulator: Emulator) -> None:
    """A model without them would return what was not checked."""
    llm = llamaindex(emulator, pii="redact", window_size=50)
    for again in (OCIDataScience.from_dict(llm.to_dict()), pickle.loads(pickle.dumps(llm))):
        assert ("redact", 50) == (again.guardrails.pii, again.guardrails.window_size)
        assert REDACTED == again.complete("private").text


def test_changed_guardrails_are_used(emulator: Emulator) -> None:
    """By the next call, also if a field of theirs was changed."""
    llm = llamaindex(emulator)
    assert PRIVATE == llm.complete("private").text
    llm.guardrails.pii = "redact"
    assert REDACTED == llm.complete("private").text
    llm.guardrails = None
    assert UNSAFE == llm.complete("unsafe").text


def test_the_partial_response_is_what_passed(emulator: Emulator) -> None:
    """`partial_response` of the error, as of every failed stream."""
    received = ""
    with pytest.raises(GuardrailViolation) as caught:
        for response in llamaindex(emulator, window_size=20, overlap=30).stream_chat([ChatMessage("unsafe")]):
            received += response.delta or ""

    assert received == caught.value.partial_response.message.content  # type: ignore[attr-defined]
    assert "kill" not in received


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"compartment_id": None}, "compartment_id is missing"),
        ({"dialect": "openai-chat"}, "dialect is not supported for guardrails"),
        ({"pii": "remove"}, "pii"),
        (
            {"enable_content_moderation": False, "enable_pii_detection": False, "enable_prompt_injection": False},
            "enabled",
        ),
        ({"pii": "redact", "hold_back": False}, "needs hold_back"),
        ({"on_node_violation": "ignore"}, "on_node_violation"),
    ],
)
def test_invalid_fields_are_reported(emulator: Emulator, fields: dict[str, Any], match: str) -> None:
    """When the object is created."""
    with pytest.raises(ValidationError, match=match):
        OCIGuardrails(**{**oci(emulator), **fields})


def test_errors_of_the_service_are_raised(emulator: Emulator) -> None:
    """A node that could not be checked is not passed on."""
    emulator.script(Fault("refuse", "not_found"))
    with pytest.raises(errors.NotFound, match="the document could not be checked by guardrails"):
        OCIGuardrails(**oci(emulator)).postprocess_nodes(nodes(CLEAN))


def test_several_loops_and_an_empty_list(emulator: Emulator) -> None:
    """Objects outlive event loops; without nodes nothing is sent."""
    guardrails = OCIGuardrails(**oci(emulator))
    for _ in range(2):
        assert CLEAN == asyncio.run(guardrails.acheck(CLEAN))
    emulator.reset()

    assert [] == guardrails.postprocess_nodes([])
    assert [] == checks(emulator)
