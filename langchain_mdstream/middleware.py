"""`OCIGuardrailsMiddleware`: guardrails of OCI Generative AI in LangChain's agents."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_mdstream._errors import map_errors
from langchain_mdstream._guarded_messages import output_texts, replace_output_texts
from langchain_mdstream.guardrails import OCIGuardrails, input_texts, replace_input_texts
from mdstream_core import GuardrailResults, MissingExtra
from mdstream_core.guardrails import SEPARATOR, GuardrailPolicy, PIIAction, TextLocation

try:
    from langchain.agents.middleware import AgentMiddleware, hook_config
except ImportError:
    raise MissingExtra("langchain", "agents") from None

#: What happens after a violation; `block` is langchain-oci's name of `raise`.
OnViolation = Literal["block", "raise", "end", "warn"]

_BLOCKED = "[Blocked by guardrails]"


class OCIGuardrailsMiddleware(AgentMiddleware[Any, Any]):
    """Check what users, tools and the model write in an agent (`create_agent`).

    Before each call of the model it checks the messages since the model's last one, after each call the new message:
    its text, and with the fields `check_tool_calls` and `check_citations` of the guardrails (the default) the arguments
    of its tool calls and its citations.
    Redacted texts replace the originals in the agent's state. Tokens that are streamed while the model writes are not
    checked by the middleware; the field `guardrails` of the model does that.

    Args:
        guardrails: The guardrails. Default: those built from `guardrails_kwargs`.
        apply_to_input: Whether messages of users are checked.
        apply_to_output: Whether messages of the model are checked.
        apply_to_tool_results: Whether results of tools are checked.
        prompt_injection_threshold: Score from which a prompt injection is a violation. Default: that of `guardrails`.
        content_moderation_threshold: Score from which a category is a violation. Default: that of `guardrails`.
        block_on_pii: Whether personally identifiable information is a violation; the same as `pii="block"`.
        pii: What is done with personally identifiable information: `ignore`, `redact` or `block`. Default: that of
            `guardrails`.
        on_violation: What happens after a violation: `block` or `raise` raises `GuardrailViolation`; `end` ends the run
            with `blocked_message`, or replaces a tool's result by it and continues; `warn` emits a `UserWarning`.
        blocked_message: Text of the message that `end` writes.
        guardrails_kwargs: Fields of `OCIGuardrails`.

    Raises:
        ValueError: `on_violation` is unknown, or a field of the guardrails is invalid.

    Example:
        >>> middleware = OCIGuardrailsMiddleware(
        ...     region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa", apply_to_output=True
        ... )
        >>> middleware.apply_to_output
        True
    """

    def __init__(
        self,
        guardrails: OCIGuardrails | None = None,
        *,
        apply_to_input: bool = True,
        apply_to_output: bool = False,
        apply_to_tool_results: bool = False,
        prompt_injection_threshold: float | None = None,
        content_moderation_threshold: float | None = None,
        block_on_pii: bool = False,
        pii: PIIAction | None = None,
        on_violation: OnViolation = "block",
        blocked_message: str = _BLOCKED,
        **guardrails_kwargs: Any,
    ) -> None:
        super().__init__()
        if on_violation not in get_args(OnViolation):
            raise ValueError(
                f"on_violation must be 'block' or 'warn', 'raise' or 'end', not {on_violation!r} (hint: 'block' raises)"
            )
        self.guardrails = guardrails if guardrails is not None else OCIGuardrails(**guardrails_kwargs)
        self.apply_to_input = apply_to_input
        self.apply_to_output = apply_to_output
        self.apply_to_tool_results = apply_to_tool_results
        self.on_violation = on_violation
        self.blocked_message = blocked_message
        base = getattr(self.guardrails, "policy", None) or GuardrailPolicy()
        changes = {
            "prompt_injection_threshold": prompt_injection_threshold,
            "content_moderation_threshold": content_moderation_threshold,
            "pii": "block" if block_on_pii else pii,
        }
        #: What is a violation, and what is redacted.
        self.policy: GuardrailPolicy = replace(base, **{name: it for name, it in changes.items() if it is not None})

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: Any, runtime: Any = None) -> dict[str, Any] | None:
        """Check the messages since the model's last one: of users, and results of tools.

        Raises:
            GuardrailViolation: The policy does not allow a message, and `on_violation` is `block` or `raise`.
        """
        update = _Update()
        for location, messages in self._new_messages(state):
            texts = input_texts(messages)
            if any(text.strip() for text in texts):
                results = self.guardrails.invoke(SEPARATOR.join(texts))
                self._enforce(update, location, messages, results)
        return update.build()

    @hook_config(can_jump_to=["end"])
    async def abefore_model(self, state: Any, runtime: Any = None) -> dict[str, Any] | None:
        """Check the messages since the model's last one asynchronously; see `before_model`."""
        update = _Update()
        for location, messages in self._new_messages(state):
            texts = input_texts(messages)
            if any(text.strip() for text in texts):
                results = await self.guardrails.ainvoke(SEPARATOR.join(texts))
                self._enforce(update, location, messages, results)
        return update.build()

    @hook_config(can_jump_to=["end"])
    def after_model(self, state: Any, runtime: Any = None) -> dict[str, Any] | None:
        """Check the model's new message.

        Raises:
            GuardrailViolation: The policy does not allow the message, and `on_violation` is `block` or `raise`.
        """
        update = _Update()
        for messages in self._new_output(state):
            results = self.guardrails.invoke(SEPARATOR.join(output_texts(messages[0], self.policy)))
            self._enforce(update, "output", messages, results)
        return update.build()

    @hook_config(can_jump_to=["end"])
    async def aafter_model(self, state: Any, runtime: Any = None) -> dict[str, Any] | None:
        """Check the model's new message asynchronously; see `after_model`."""
        update = _Update()
        for messages in self._new_output(state):
            results = await self.guardrails.ainvoke(SEPARATOR.join(output_texts(messages[0], self.policy)))
            self._enforce(update, "output", messages, results)
        return update.build()

    def _new_messages(self, state: Any) -> Iterator[tuple[TextLocation, list[BaseMessage]]]:
        """Yield the messages since the model's last one that are checked together."""
        messages = list(state.get("messages") or ())
        responses = [index for index, message in enumerate(messages) if isinstance(message, AIMessage)]
        new = messages[responses[-1] + 1 if responses else 0 :]
        groups: tuple[tuple[TextLocation, bool, type[BaseMessage]], ...] = (
            ("input", self.apply_to_input, HumanMessage),
            ("tool result", self.apply_to_tool_results, ToolMessage),
        )
        for location, applies, kind in groups:
            if applies and (found := [message for message in new if isinstance(message, kind)]):
                yield location, found

    def _new_output(self, state: Any) -> Iterator[list[AIMessage]]:
        *_, last = state.get("messages") or (None,)
        if not (self.apply_to_output and isinstance(last, AIMessage)):
            return
        if any(text.strip() for text in output_texts(last, self.policy)):
            yield [last]

    def _enforce(
        self, update: "_Update", location: TextLocation, messages: Sequence[BaseMessage], results: GuardrailResults
    ) -> None:
        """Add to the update what the policy requires. Raises `GuardrailViolation` where it blocks."""
        output = messages[0] if location == "output" and isinstance(messages[0], AIMessage) else None
        texts = input_texts(messages) if output is None else output_texts(output, self.policy)
        violations = self.policy.find_violations(results)
        if violations and self.on_violation == "warn":
            found = "; ".join(violations)
            warnings.warn(f"OCI guardrails flagged the {location}: {found}", UserWarning, stacklevel=3)
        elif violations and self.on_violation == "end":
            update.block(location, messages, self.blocked_message)
            return
        with map_errors():
            enforce = self.policy.redact if self.on_violation == "warn" else self.policy.enforce
            texts = enforce(texts, results, location)
        redacted = (
            replace_input_texts(messages, texts)
            if output is None
            else [replace_output_texts(output, texts, self.policy)]
        )
        update.messages += [new for old, new in zip(messages, redacted, strict=True) if new is not old]


class _Update:
    """The update of an agent's state: messages that replace those of the same id, and whether the run ends."""

    def __init__(self) -> None:
        self.messages: list[BaseMessage] = []
        self.ends = False

    def block(self, location: TextLocation, messages: Sequence[BaseMessage], text: str) -> None:
        """Withhold messages. Results of tools are replaced, so that the model can continue without them."""
        if location == "tool result":
            self.messages += [message.model_copy(update={"content": text}) for message in messages]
            return
        self.ends = True
        self.messages.append(AIMessage(text, id=messages[-1].id if location == "output" else None))

    def build(self) -> dict[str, Any] | None:
        """Return the update for LangGraph; `None` if nothing changes."""
        if not self.messages:
            return None
        return {"messages": self.messages, **({"jump_to": "end"} if self.ends else {})}
