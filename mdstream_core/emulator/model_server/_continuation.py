"""Continuation of a response: of a chat's last message, or of a prompt that ends with the start of its completion."""

from collections import deque
from dataclasses import replace

from mdstream_core.emulator._bounds import MAX_MEMORY_CHARACTERS
from mdstream_core.emulator.model import ModelFunction, ModelOutput
from mdstream_core.emulator.model_server._flavours import Json

_MAX_PROMPTS = 64  # prompts that are stored


class ContinuationModel:
    """A model that can continue a response that was interrupted."""

    def __init__(self, model: ModelFunction) -> None:
        self._model = model
        self._prompts: deque[str] = deque(maxlen=_MAX_PROMPTS)

    def __call__(self, request: Json) -> ModelOutput:
        """Generate the output, or the rest of it; a model rejects a request by raising `ValueError`."""
        request, sent_text = self._split(request)
        output = self._model(request)
        output = output if isinstance(output, ModelOutput) else ModelOutput.from_text(output)
        return _remaining_output(output, sent_text)

    def _split(self, request: Json) -> tuple[Json, str]:
        """Split a request into the original one and the text that was already sent for it."""
        messages = request.get("messages") or [{}]
        last = messages[-1]
        if request.get("continue_final_message") and last.get("role") == "assistant":
            return {**request, "messages": messages[:-1]}, str(last.get("content") or "")
        if "prompt" not in request:
            return request, ""
        prompt = str(last.get("content"))
        known = max((earlier for earlier in self._prompts if prompt.startswith(earlier)), key=len, default=prompt)
        if known == prompt and len(prompt) <= MAX_MEMORY_CHARACTERS:
            self._prompts.append(prompt)
        return {**request, "messages": [{**last, "content": known}]}, prompt[len(known) :]


def _remaining_output(output: ModelOutput, sent_text: str) -> ModelOutput:
    if not sent_text or not "".join(output.text).startswith(sent_text):
        return output  # the text differs: start from the beginning
    index, offset = 0, len(sent_text)
    while index < len(output.text) and offset >= len(output.text[index]):
        offset -= len(output.text[index])
        index += 1
    tokens = list(output.text[index:])
    if tokens:
        tokens[0] = tokens[0][offset:]
    return replace(output, text=tuple(tokens), reasoning=())
