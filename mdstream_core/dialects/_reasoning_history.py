"""Reasoning of earlier responses in a request: whether it is sent, and what to do when a server asks for it.

| family | what its documentation asks for | default |
|---|---|---|
| DeepSeek V3.2, V4 | that of all turns with tool calls, "in all subsequent requests", or a 400 | `always` |
| Kimi K2 Thinking, K2.5 and later | that of all assistant messages; a 400 where a tool call lacks it | `always` |
| GLM 4.5 and later | "explicitly preserved and returned together with the tool results" | `tool_turns` |
| MiniMax M2 | kept between tool calls; vLLM lists it as an interleaved-thinking model | `tool_turns` |
| gpt-oss | kept between tool calls, dropped after the final answer | `tool_turns` |
| others; DeepSeek R1 among them, which refuses it | | `never` |

The field is `reasoning_content` (DeepSeek, Kimi, GLM, SGLang, llama.cpp) or `reasoning` (newer vLLM, which does not
read the other one: vllm-project/vllm#38488), so both are sent. Model servers pass over fields of messages that they do
not know, and the chat template decides which reasoning reaches the model. Hosts that refuse one of the two fields
(`extra_forbidden`, "Extra inputs are not permitted") are asked again without it.

Sources: api-docs.deepseek.com/guides/thinking_mode, platform.kimi.ai/docs/guide/use-kimi-k2-thinking-model,
docs.z.ai/guides/capabilities/thinking-mode, docs.vllm.ai/en/v0.17.1/features/interleaved_thinking, openai-cookbook
articles/gpt-oss/handle-raw-cot; the placeholder: BerriAI/litellm (`llms/deepseek`); refusals: BerriAI/litellm#30835,
earendil-works/pi#4514, continuedev/continue#11600.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from mdstream_core.dialects._dialect import Decoder, Dialect
from mdstream_core.dialects._parameter_fallback import Relaxed
from mdstream_core.errors import (
    ContentRefused,
    ContextOverflow,
    InvalidRequest,
    MDStreamError,
    ServerError,
    ServiceError,
    StreamFailure,
)
from mdstream_core.events import Reply

Json = dict[str, Any]

#: Of which messages the reasoning is sent: none; those with tool calls since the user's last message; all.
SendReasoning = Literal["never", "tool_turns", "always"]

_FAMILIES: tuple[tuple[re.Pattern[str], SendReasoning], ...] = (
    (re.compile(r"deepseek.{0,2}v(3[.-]?2(?!\d)|[4-9])"), "always"),
    (re.compile(r"kimi.?k(2-thinking|2[.][5-9]|[3-9])"), "always"),
    (re.compile(r"glm-?(4[.][5-9]|[5-9])"), "tool_turns"),
    (re.compile(r"minimax-?m[2-9]"), "tool_turns"),
    (re.compile(r"(^|/)gpt-oss"), "tool_turns"),
)

#: The names of the field, the widest spread one first.
_FIELDS = ("reasoning_content", "reasoning")

#: What stands for reasoning that a message lacks, where a server demands it: it takes no empty text.
_PLACEHOLDER = " "

#: The field, in OCI's spelling too. Its other name is a word of its own: it counts beside a message or a turn only, and
#: not where reasoning has to be switched on.
_FIELD = r"\breasoning(?:_c|C)ontent\b"
_WORD = (
    r"(?<!\w)reasoning\b(?![.\w])"
    r"(?!(?:\s+(?:is|are|has|must|needs|required|to|be))*\s+(?:enabled|activated|configured|set|turned|on)\b)"
)
_MESSAGE = r"\b(?:messages?(?:\W{0,3}\d+\W{0,3})?|turns?)"
_GAP = r"""[^"'{}\[\]]{0,80}"""
_LACKS = r"\b(?:must\ be | missing | required)\b"
_NEEDS = r"\b(?:missing | requires? | must\ (?:include | contain | have))\b"
_DEMANDED = re.compile(
    rf"""
    {_FIELD} {_GAP} {_LACKS} | {_NEEDS} {_GAP} {_FIELD}
    | {_MESSAGE} {_GAP} {_NEEDS} {_GAP} {_WORD} | {_NEEDS} {_GAP} {_WORD} {_GAP} {_MESSAGE}
    | {_MESSAGE} (?:{_GAP}\s)? ['`]?{_WORD} {_GAP} {_LACKS} | {_WORD} {_GAP} {_LACKS} {_GAP} {_MESSAGE}
    | "missing" [^{{}}]{{0,80}} (?:"reasoning(?:_c|C)ontent" | "messages" [^{{}}]{{0,40}} "reasoning") \s* \]
    """,
    re.IGNORECASE | re.VERBOSE,
)
_REFUSED = re.compile(
    r"extra_forbidden|not (permitted|allowed|supported)|unsupported|un(known|expected|recogni[sz]ed)"
    r"|additional propert",
    re.IGNORECASE,
)

#: How each field is named in an error; one of the names is an English word, too.
_NAMED = {
    "reasoning_content": re.compile(_FIELD),
    "reasoning": re.compile(r"""[.'"`]reasoning['"`]|\bmessages\W{1,2}\d+\W{1,3}(?:\w+\.)?reasoning\b"""),
}


def default_send_reasoning(model: str) -> SendReasoning:
    """What a model's family is known to need.

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
        mode: Of which messages.
        refused: Names of the field that the server does not take.
        demanded: Whether each assistant message must have it.
    """

    mode: SendReasoning
    refused: frozenset[str] = frozenset()
    demanded: bool = False

    def apply(self, messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The messages as they are sent."""
        start = _turn_start(messages) if self.mode == "tool_turns" else 0
        return [self._applied(message, current=at >= start) for at, message in enumerate(messages)]

    def _applied(self, message: Mapping[str, Any], *, current: bool) -> Mapping[str, Any]:
        if message.get("role") != "assistant":
            return message
        text = message.get("reasoning_content") if self._is_sent(message, current=current) else None
        text = text or (_PLACEHOLDER if self.demanded else None)
        rest = {name: value for name, value in message.items() if name != "reasoning_content"}
        return {**rest, **({name: text for name in _FIELDS if name not in self.refused} if text else {})}

    def _is_sent(self, message: Mapping[str, Any], *, current: bool) -> bool:
        return self.mode == "always" or (self.mode == "tool_turns" and current and bool(message.get("tool_calls")))

    def after(self, error: MDStreamError) -> "ReasoningRule | None":
        """The rule that `error` asks for; `None` where it is about something else."""
        if not _is_refusal(error):
            return None
        words = f"{error} {error.raw or ''}"
        named = {name for name, pattern in _NAMED.items() if pattern.search(words)} if _REFUSED.search(words) else set()
        if _DEMANDED.search(words):
            spent = self.demanded or self.refused >= set(_FIELDS)
            return None if spent else replace(self, mode="always", demanded=True)
        return replace(self, refused=self.refused | named) if named - self.refused else None


def _is_refusal(error: MDStreamError) -> bool:
    """Whether the request was refused, and not for what is in it; also inside of a container's or a stream's error."""
    if isinstance(error, ContextOverflow | ContentRefused):
        return False
    if isinstance(error, ServerError) and _INNER_STATUS.search(error.raw or ""):
        return True
    wrapped = isinstance(error, ServiceError | StreamFailure) and error.status in {400, 422, 424}
    return isinstance(error, InvalidRequest) or wrapped


#: The status of a refusal in the body of an HTTP 500 that wraps it.
_INNER_STATUS = re.compile(r"""["'](?:code|status|status_?code)\W{1,4}4(?:00|22|24)\b""", re.IGNORECASE)


def _turn_start(messages: Sequence[Mapping[str, Any]]) -> int:
    """The place of the user's last message; one behind results belongs to them (pictures that a tool returned)."""
    roles = [message.get("role") for message in messages]
    for at in range(len(roles) - 1, 0, -1):
        if roles[at] == "user" and roles[at - 1] not in ("tool", "function"):
            return at
    return 0


class ReasoningHistory:
    """A dialect whose requests carry the reasoning of earlier responses, where the model needs it.

    One object for one request: a server that refuses it for reasoning that is missing, or there, is asked once more.

    Args:
        dialect: What is spoken. The assistant messages of the question have `reasoning_content` where it is known.
        mode: Of which messages it is sent; `None` leaves it to the model's family and to the server.
        learned: What the servers asked for, by the model's name; shared by the requests of a model object.
    """

    def __init__(
        self, dialect: Dialect, mode: SendReasoning | None, learned: dict[str, ReasoningRule] | None = None
    ) -> None:
        self.name = dialect.name
        self.route = dialect.route
        self._dialect = dialect
        self._mode = mode
        self._learned = {} if learned is None else learned
        self._question: Mapping[str, Any] = {}
        self._rule = ReasoningRule(mode or "never")

    def body(self, question: Mapping[str, Any], *, stream: bool) -> Json:
        """The inner dialect's body."""
        self._question = question
        self._rule = self._learned.get(self._model) or ReasoningRule(self._mode or default_send_reasoning(self._model))
        messages = question.get("messages")
        asked = {**question, "messages": self._rule.apply(messages)} if messages else question
        return self._dialect.body(asked, stream=stream)

    def simpler(self, body: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """With the reasoning that the server asks for, or without a field that it refuses; else the inner's."""
        other = self._rule.after(error)
        if other is None or (other.demanded and self._mode == "never"):
            return self._inner_simpler(body, error)
        before, messages = self._messages(self._rule), self._messages(other)
        if messages == before or body.get("messages") != before:  # nothing to change, or another request by now
            return self._inner_simpler(body, error)
        if new := other.refused - self._rule.refused:
            told = f"the server refuses {' and '.join(sorted(new))} in messages ({error}): they are sent without it"
            warnings.warn(told, RuntimeWarning, stacklevel=2)
        self._rule = self._learned[self._model] = other
        return Relaxed.of(body, {**body, "messages": messages})

    def continued(self, body: Mapping[str, Any], said: Reply) -> Json | None:
        """The inner dialect's."""
        return self._dialect.continued(body, said)

    def decoder(self) -> Decoder:
        """A fresh decoder."""
        return self._dialect.decoder()

    @property
    def _model(self) -> str:
        return str(self._question.get("model") or "")

    def _messages(self, rule: ReasoningRule) -> Any:
        """The messages as the inner dialect writes them, where it does."""
        asked = {"model": self._question.get("model"), "messages": rule.apply(self._question.get("messages") or ())}
        return self._dialect.body(asked, stream=False).get("messages")

    def _inner_simpler(self, body: Mapping[str, Any], error: MDStreamError) -> Json | None:
        """The inner dialect's. Where there is none, what was learnt is forgotten: it did not help, or holds no more."""
        simpler = self._dialect.simpler(body, error)
        if simpler is None and isinstance(error, InvalidRequest) and self._learned.get(self._model) == self._rule:
            self._learned.pop(self._model, None)
        return simpler


def has_assistant_messages(messages: Any) -> bool:
    """Whether there are earlier responses in a conversation, which may have reasoning."""
    return any(isinstance(message, Mapping) and message.get("role") == "assistant" for message in messages or ())
