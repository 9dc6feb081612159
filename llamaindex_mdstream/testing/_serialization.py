"""Rules of serialization: pickle, `to_dict` and `from_dict`, secrets, and use by LlamaIndex."""

import json
import pickle

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import LLM
from llama_index.core.llms.utils import resolve_llm
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.schema import NodeWithScore, TextNode

from llamaindex_mdstream.testing._llm_rules import LLMRules
from llamaindex_mdstream.testing._services import OUTPUT, PROMPT

MESSAGES = [ChatMessage(PROMPT)]


class SerializationRules(LLMRules):
    """Rules of serialization."""

    @pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
    def test_pickled_model_works(self, model: LLM, used: bool) -> None:
        """
        A pickled model works in another process, also if its connections were open.
        """
        if used:
            model.chat(MESSAGES)
        copied = pickle.loads(pickle.dumps(model))  # noqa: S301  # trusted bytes
        with self.other_process():
            content = copied.chat(MESSAGES).message.content

        assert OUTPUT == content

    def test_from_dict_restores_the_model(self, model: LLM) -> None:
        """
        A model of `from_dict(to_dict())` works as before, with its secrets passed again.
        """
        saved = json.loads(json.dumps(model.to_dict()))
        restored = type(model).from_dict({**saved, **self.credentials})

        assert OUTPUT == restored.chat(MESSAGES).message.content
        assert model.metadata == restored.metadata

    def test_secrets_are_hidden(self, model: LLM) -> None:
        """
        Secrets do not appear in `to_dict`, which is saved, in `to_payload`, which event handlers get, and in `repr`.
        """
        payload = model.to_payload() if hasattr(model, "to_payload") else None  # from 0.14.19 on

        assert [] == self.find_secrets(model.to_dict(), payload, repr(model), model)

    def test_llamaindex_accepts_the_model(self, model: LLM) -> None:
        """
        `Settings.llm = model` accepts it, and a query engine streams from it.
        """
        nodes = [NodeWithScore(node=TextNode(text="The Nile is 6650 km long."), score=1.0)]
        synthesizer = get_response_synthesizer(llm=resolve_llm(model), streaming=True)
        response = synthesizer.synthesize("How long is the Nile?", nodes=nodes)

        assert "6650" in str(response)
