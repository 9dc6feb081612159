"""Send the reasoning of earlier responses in requests, if the model requires it.

| family | requirement in its documentation | default |
|---|---|---|
| DeepSeek V3.2, V4 | all turns with tool calls, "in all subsequent requests", or a 400 | `always` |
| Kimi K2 Thinking, K2.5 and later | all assistant messages; a 400 if a tool call lacks it | `always` |
| GLM 4.5 and later | "explicitly preserved and returned together with the tool results" | `tool_turns` |
| MiniMax M2 | kept between tool calls; vLLM lists it as an interleaved-thinking model | `tool_turns` |
| gpt-oss | kept between tool calls, dropped after the final answer | `tool_turns` |
| others, including DeepSeek R1, which rejects it | | `never` |

The field is `reasoning_content` (DeepSeek, Kimi, GLM, SGLang, llama.cpp) or `reasoning` (newer vLLM, which does not
read the other one: vllm-project/vllm#38488), so both are sent. Model servers ignore unknown fields of messages, and the
chat template decides which reasoning reaches the model. If a server rejects one of the two fields (`extra_forbidden`,
"Extra inputs are not permitted"), the request is sent again without it.

Sources: api-docs.deepseek.com/guides/thinking_mode, platform.kimi.ai/docs/guide/use-kimi-k2-thinking-model,
docs.z.ai/guides/capabilities/thinking-mode, docs.vllm.ai/en/v0.17.1/features/interleaved_thinking, openai-cookbook
articles/gpt-oss/handle-raw-cot; the placeholder: BerriAI/litellm (`llms/deepseek`); rejections:
BerriAI/litellm#30835, earendil-works/pi#4514, continuedev/continue#11600.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mdstream_core._lazy import lazy_pattern
from mdstream_core.dialects._dialect import Decoder, Dialect
from mdstream_core.dialects._names import SendReasoning
from mdstream_core.dialects._parameter_fallback import RelaxedPayload
from mdstream_core.dialects._rejected_parameters import is_rejected_request
from mdstream_core.errors import InvalidRequest, MDStreamError, ServerError
from mdstream_core.events import ModelResponse

Json = dict[str, Any]


_FAMILIES: tuple[tuple[re.Pattern[str], SendReasoning], ...] = (
    (lazy_pattern(r"deepseek.{0,2}v(3[.-]?2(?!\d)|[4-9])"), "always"),
    (lazy_pattern(r"kimi.?k(2-thinking|2[.][5-9]|[3-9])"), "always"),
    (lazy_pattern(r"glm-?(4[.][5-9]|[5-9])"), "tool_turns"),
    (lazy_pattern(r"minimax-?m[2-9]"), "tool_turns"),
    (lazy_pattern(r"(^|/)gpt-oss"), "tool_turns"),
)

#: The names of the field, the most common one first.
_FIELDS = ("reasoning_content", "reasoning")

#: Sent for messages without reasoning if the server requires it: empty strings are rejected.
_PLACEHOLDER = " "

#: The field, also in OCI's spelling. `reasoning` is an English word: it is recognized only near "message" or "turn",
#: and not in an error about reasoning that must be enabled.
_FIELD = r"\breasoning(?:_c|C)ontent\b"
_WORD = (
    r"(?<!\w)reasoning\b(?![.\w])"
    r"(?!(?:\s+(?:is|are|has|must|needs|required|to|be))*\s+(?:enabled|activated|configured|set|turned|on)\b)"
)
_MESSAGE = r"\b(?:messages?(?:\W{0,3}\d+\W{0,3})?|turns?)"
_GAP = r"""[^"'{}\[\]]{0,80}"""
_IS_MISSING = r"\b(?:must\ be | missing | required)\b"
_IS_REQUIRED = r"\b(?:missing | requires? | must\ (?:include | contain | have))\b"
_REQUIRED_PATTERN = lazy_pattern(
    rf"""
    {_FIELD} {_GAP} {_IS_MISSING} | {_IS_REQUIRED} {_GAP} {_FIELD}
    | {_MESSAGE} {_GAP} {_IS_REQUIRED} {_GAP} {_WORD} | {_IS_REQUIRED} {_GAP} {_WORD} {_GAP} {_MESSAGE}
    | {_MESSAGE} (?:{_GAP}\s)? ['`]?{_WORD} {_GAP} {_IS_MISSING} | {_WORD} {_GAP} {_IS_MISSING} {_GAP} {_MESSAGE}
    | "missing" [^{{}}]{{0,80}} (?:"reasoning(?:_c|C)ontent" | "messages" [^{{}}]{{0,40}} "reasoning") \s* \]
    """,
    re.IGNORECASE | re.VERBOSE,
)
_REJECTED_PATTERN = lazy_pattern(
    r"extra_forbidden|not (permitted|allowed|supported)|unsupported|un(known|expected|recogni[sz]ed)"
    r"|additional propert",
    re.IGNORECASE,
)

#: How an error names each field.
_FIELD_PATTERNS = {
    "reasoning_content": lazy_pattern(_FIELD),
    "reasoning": lazy_pattern(r"""[.'"`]reasoning['"`]|\bmessages\W{1,2}\d+\W{1,3}(?:\w+\.)?reasoning\b"""),
}


def default_send_reasoning(model: str) -> SendReasoning:
    """Return the mode that the family of a model requires.

    >>> default_send_reasoning("deepseek-ai/DeepSeek-V3.2"), default_send_reasoning("deepseek-ai/DeepSeek-R1")
    ('always', 'never')
    >>> default_send_reasoning("zai-org/GLM-4.6"), default_send_reasoning("odsc-llm")
    ('tool_turns', 'never')
    """
    name = model.lower()
    return next((mode for family, mode in _FAMILIES if family.search(name)), "never")


@dataclass(frozen=True, slots=True)
class ReasoningRule:
    """How the reasoning of earlier messages is sent to a model.

    Attributes:
        mode: The messages whose reasoning is sent: `never`, `tool_turns` or `always`.
        rejected_fields: Names of the field that the server rejects; none by default.
        required: Whether each assistant message must have the field; `False` by default.
    """

    mode: SendReasoning
    rejected_fields: frozenset[str] = frozenset()
    required: bool = False

    def apply(self, messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the messages to send."""
        start = _turn_start(messages) if self.mode == "tool_turns" else 0
        return [self._apply_to_message(message, current=at >= start) for at, message in enumerate(messages)]

    def _apply_to_message(self, message: Mapping[str, Any], *, current: bool) -> Mapping[str, Any]:
        if message.get("role") != "assistant":
            return message
        text = message.get("reasoning_content") if self._is_sent(message, current=current) else None
        text = text or (_PLACEHOLDER if self.required else None)
        others = {name: value for name, value in message.items() if name != "reasoning_content"}
        return {**others, **({name: text for name in _FIELDS if name not in self.rejected_fields} if text else {})}

    def _is_sent(self, message: Mapping[str, Any], *, current: bool) -> bool:
        return self.mode == "always" or (self.mode == "tool_turns" and current and bool(message.get("tool_calls")))

    def update_for_error(self, error: MDStreamError) -> "ReasoningRule | None":
        """Return the rule for a second request after an error response; `None` if the error has another cause."""
        if not _is_rejection(error):
            return None
        message = f"{error} {error.raw or ''}"
        rejected = (
            {name for name, pattern in _FIELD_PATTERNS.items() if pattern.search(message)}
            if _REJECTED_PATTERN.search(message)
            else set()
        )
        if _REQUIRED_PATTERN.search(message):
            cannot_help = self.required or self.rejected_fields >= set(_FIELDS)
            return None if cannot_help else replace(self, mode="always", required=True)
        return (
            replace(self, rejected_fields=self.rejected_fields | rejected) if rejected - self.rejected_fields else None
        )


def _is_rejection(error: MDStreamError) -> bool:
    """Return whether an error response rejects the form of the request; it may be wrapped in a server error."""
    is_wrapped = isinstance(error, ServerError) and _INNER_STATUS.search(error.raw or "") is not None
    return is_wrapped or is_rejected_request(error)


#: The status of an error response in the body of an HTTP 500 that wraps it.
_INNER_STATUS = lazy_pattern(r"""["'](?:code|status|status_?code)\W{1,4}4(?:00|22|24)\b""", re.IGNORECASE)


def _turn_start(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return the index of the last user message that is not part of tool results (images that a tool returned)."""
    roles = [message.get("role") for message in messages]
    for at in range(len(roles) - 1, 0, -1):
        if roles[at] == "user" and roles[at - 1] not in ("tool", "function"):
            return at
    return 0


class ReasoningHistory:
    """Dialect of one request that sends the reasoning of earlier responses if the model requires it.

    If the server rejects the request because reasoning is missing or present, the request is changed and sent again.

    Args:
        dialect: The dialect to wrap. Assistant messages of the request parameters have `reasoning_content` if it is
            known.
        mode: The messages whose reasoning is sent: `never`, `tool_turns` or `always`; `None` to choose it by the
            model's family and by error responses.
        rules: The rules learned from error responses, by model name; shared by the requests of a model object.
    """

    def __init__(
        self, dialect: Dialect, mode: SendReasoning | None, rules: dict[str, ReasoningRule] | None = None
    ) -> None:
        self.name = dialect.name
        self.route = dialect.route
        self._dialect = dialect
        self._mode = mode
        self._rules = {} if rules is None else rules
        self._params: Mapping[str, Any] = {}
        self._rule = ReasoningRule(mode or "never")

    def build_payload(self, params: Mapping[str, Any], *, stream: bool) -> Json:
        """Build the inner dialect's body."""
        self._params = params
        self._rule = self._rules.get(self._model) or ReasoningRule(self._mode or default_send_reasoning(self._model))
        messages = params.get("messages")
        changed = {**params, "messages": self._rule.apply(messages)} if messages else params
        return self._dialect.build_payload(changed, stream=stream)

    def relax_payload(self, payload: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """Add required reasoning or drop a rejected field, else delegate to the inner dialect."""
        rule = self._rule.update_for_error(error)
        if rule is None or (rule.required and self._mode == "never"):
            return self._relax_inner(payload, error)
        before, messages = self._messages(self._rule), self._messages(rule)
        if messages == before or payload.get("messages") != before:  # nothing to change, or the request was changed
            return self._relax_inner(payload, error)
        if new := rule.rejected_fields - self._rule.rejected_fields:
            message = (
                f"the server rejects {' and '.join(sorted(new))} in messages ({error}): the request is sent without it"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        self._rule = self._rules[self._model] = rule
        return RelaxedPayload.from_changes(payload, {**payload, "messages": messages})

    def build_continuation(self, payload: Mapping[str, Any], partial: ModelResponse) -> Json | None:
        """Delegate to the inner dialect."""
        return self._dialect.build_continuation(payload, partial)

    def create_decoder(self) -> Decoder:
        """Create a decoder for one response."""
        return self._dialect.create_decoder()

    @property
    def _model(self) -> str:
        return str(self._params.get("model") or "")

    def _messages(self, rule: ReasoningRule) -> Any:
        """Return the messages in the form of the inner dialect."""
        params = {"model": self._params.get("model"), "messages": rule.apply(self._params.get("messages") or ())}
        return self._dialect.build_payload(params, stream=False).get("messages")

    def _relax_inner(self, payload: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """Delegate to the inner dialect; discard the rule if that changes nothing: it did not help, or is outdated."""
        relaxed = self._dialect.relax_payload(payload, error)
        if relaxed is None and isinstance(error, InvalidRequest) and self._rules.get(self._model) == self._rule:
            self._rules.pop(self._model, None)
        return relaxed


def has_assistant_messages(messages: Any) -> bool:
    """Return whether a conversation has assistant messages, which may have reasoning."""
    return any(isinstance(message, Mapping) and message.get("role") == "assistant" for message in messages or ())
