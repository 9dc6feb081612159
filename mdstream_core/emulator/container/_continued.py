"""Going on with an answer: a chat's last message, or a prompt that ends with the beginning of its own completion."""

from collections import deque
from dataclasses import replace

from mdstream_core.emulator._bounds import MAX_MEMORY_CHARACTERS
from mdstream_core.emulator.brain import Answer, Brain
from mdstream_core.emulator.container._flavours import Json

_KEPT = 64  # prompts that are remembered


class Continuations:
    """A brain that can be asked for the rest of what it said."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain
        self._prompts: deque[str] = deque(maxlen=_KEPT)

    def __call__(self, question: Json) -> Answer:
        """The answer, or what of it has not been said yet. A brain refuses with a `ValueError`."""
        question, said = self._split(question)
        answer = self._brain(question)
        answer = answer if isinstance(answer, Answer) else Answer.of(answer)
        return _rest(answer, said)

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


def _rest(answer: Answer, said: str) -> Answer:
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
