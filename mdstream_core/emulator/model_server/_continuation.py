"""Going on with an answer: a chat's last message, or a prompt that ends with the beginning of its own completion."""

from collections import deque
from dataclasses import replace

from mdstream_core.emulator._bounds import MAX_MEMORY_CHARACTERS
from mdstream_core.emulator.model import ModelFunction, ModelOutput
from mdstream_core.emulator.model_server._flavours import Json

_MAX_PROMPTS = 64  # prompts that are remembered


class ContinuationModel:
    """A brain that can be asked for the rest of what it said."""

    def __init__(self, model: ModelFunction) -> None:
        self._model = model
        self._prompts: deque[str] = deque(maxlen=_MAX_PROMPTS)

    def __call__(self, question: Json) -> ModelOutput:
        """The answer, or what of it has not been said yet. A brain refuses with a `ValueError`."""
        question, said = self._split(question)
        answer = self._model(question)
        answer = answer if isinstance(answer, ModelOutput) else ModelOutput.from_text(answer)
        return _remaining_output(answer, said)

    def _split(self, question: Json) -> tuple[Json, str]:
        """What was asked at first, and what was said to it."""
        messages = question.get("messages") or [{}]
        last = messages[-1]
        if question.get("continue_final_message") and last.get("role") == "assistant":
            return {**question, "messages": messages[:-1]}, str(last.get("content") or "")
        if "prompt" not in question:
            return question, ""
        prompt = str(last.get("content"))
        known = max((one for one in self._prompts if prompt.startswith(one)), key=len, default=prompt)
        if known == prompt and len(prompt) <= MAX_MEMORY_CHARACTERS:
            self._prompts.append(prompt)
        return {**question, "messages": [{**last, "content": known}]}, prompt[len(known) :]


def _remaining_output(answer: ModelOutput, said: str) -> ModelOutput:
    if not said or not "".join(answer.text).startswith(said):
        return answer  # it begins anew
    at, left = 0, len(said)
    while at < len(answer.text) and left >= len(answer.text[at]):
        left -= len(answer.text[at])
        at += 1
    pieces = list(answer.text[at:])
    if pieces:
        pieces[0] = pieces[0][left:]
    return replace(answer, text=tuple(pieces), reasoning=())
