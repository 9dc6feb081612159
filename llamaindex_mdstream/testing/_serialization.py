"""Rules of copies: pickled, written down and built again, given to LlamaIndex; and no secret in any of them."""

import json
import pickle

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM
from llama_index.core.llms.utils import resolve_llm
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.schema import NodeWithScore, TextNode

from llamaindex_mdstream.testing._llm_rules import LLMRules
from llamaindex_mdstream.testing._services import ANSWER, QUESTION

MESSAGES = [ChatMessage(QUESTION)]


class SerializationRules(LLMRules):
    """Rules of copies."""

    @pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
    def test_a_pickled_model_answers(self, model: LLM, used: bool) -> None:
        """
        Other processes get a model that works, also when its connections were open.
        """
        if used:
            model.chat(MESSAGES)
        copied = pickle.loads(pickle.dumps(model))  # noqa: S301  # our own bytes
        with self.other_process():
            answer = copied.chat(MESSAGES).message.content

        assert ANSWER == answer

    def test_a_model_is_built_again_from_its_dictionary(self, model: LLM) -> None:
        """
        `from_dict(to_dict())` asks as before; secrets are given again.
        """
        written = json.loads(json.dumps(model.to_dict()))
        again = type(model).from_dict({**written, **self.credentials})

        assert ANSWER == again.chat(MESSAGES).message.content
        assert model.metadata == again.metadata

    def test_secrets_are_not_shown(self, model: LLM) -> None:
        """
        Neither in `to_dict`, which goes to files, nor in `to_payload`, which goes to every observer, nor in `repr`.
        """
        payload = model.to_payload() if hasattr(model, "to_payload") else None  # from 0.14.19 on

        assert [] == self.find_secrets(model.to_dict(), payload, repr(model), model)

    def test_llamaindex_takes_it(self, model: LLM) -> None:
        """
        `Settings.llm = model` accepts it, and a query engine streams from it.
        """
        nodes = [NodeWithScore(node=TextNode(text="The Nile is 6650 km long."), score=1.0)]
        synthesizer = get_response_synthesizer(llm=resolve_llm(model), streaming=True)
        response = synthesizer.synthesize("How long is the Nile?", nodes=nodes)

        assert "6650" in str(response)
