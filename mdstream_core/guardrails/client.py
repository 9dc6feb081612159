"""Clients that check the input and the output of a model with guardrails."""

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, closing
from itertools import groupby
from typing import TYPE_CHECKING

from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.events import Event, ModelResponse
from mdstream_core.guardrails.inputs import InputText, find_input_texts, is_generation, replace_texts
from mdstream_core.guardrails.output import GuardedOutput, aread_until_failure, read_until_failure

if TYPE_CHECKING:
    from mdstream_core.guardrails.guard import Guardrails


class _BaseGuardedClient:
    """What both clients share: which calls are guarded, and the texts of their inputs."""

    def __init__(self, guardrails: "Guardrails") -> None:
        self._guardrails = guardrails
        self._policy = guardrails.policy

    def _is_guarded(self, call: Call) -> bool:
        return is_generation(call.params, call.dialect.name)

    def _input_texts(self, call: Call) -> Iterator[list[InputText]]:
        """Yield the texts of the input that are checked together: those that come from the same place."""
        if not self._policy.check_input:
            return
        slots = find_input_texts(call.params, whole_conversation=self._policy.pii == "redact")
        for _, group in groupby(sorted(slots, key=lambda slot: slot.location), key=lambda slot: slot.location):
            yield list(group)


class GuardedClient(_BaseGuardedClient):
    """A `Client` whose inputs and outputs are checked. Calls that generate nothing pass unchecked.

    Args:
        client: The client that sends the model's requests.
        guardrails: Checks the texts.
    """

    def __init__(self, client: Client, guardrails: "Guardrails") -> None:
        super().__init__(guardrails)
        self._client = client

    def stream(self, call: Call) -> Generator[Event]:
        """Check the input, send the request, and yield the events of the response that passed.

        Args:
            call: The call; use it once.

        Raises:
            GuardrailViolation: The policy does not allow the input or the output; `partial` is what passed.
            MDStreamError: As for `Client.stream`, or because the guardrails could not be applied.
        """
        output = GuardedOutput(self._policy)
        with closing(self._stream(call, output)) as events:
            for event in events:  # noqa: UP028 (parallel to the async variant)
                yield event

    def complete(self, call: Call) -> ModelResponse:
        """Return the complete response, which is checked once, at its end. Raises as `stream` does."""
        output = GuardedOutput(self._policy, whole=True)
        events = [event for event in self._stream(call, output)]  # noqa: C416  # parallel to the async variant
        return ModelResponse.from_events(events)

    def _stream(self, call: Call, output: GuardedOutput) -> Generator[Event]:
        is_guarded = self._is_guarded(call)
        if is_guarded:
            self._check_input(call)
        with closing(self._client.stream(call)) as response:
            if not is_guarded or not self._policy.check_output:
                for event in response:
                    yield event
                return
            with closing(read_until_failure(response, output)) as received:
                for event in received:
                    for passed in output.add(event):
                        yield passed
                    if output.is_due:
                        self._check_output(output)
                        for passed in output.release():
                            yield passed
            self._check_output(output)
            for passed in output.release(final=True):
                yield passed
            if output.failure is not None:
                raise output.replace_partial(output.failure)

    def _check_input(self, call: Call) -> None:
        for slots in self._input_texts(call):
            texts = self._guardrails.check([slot.text for slot in slots], slots[0].location)
            call.replace_params(replace_texts(call.params, zip(slots, texts, strict=True)))

    def _check_output(self, output: GuardedOutput) -> None:
        with output.attach_partial():
            for channel in output.unchecked():
                output.record(channel, self._guardrails.apply(channel.text()))

    def close(self) -> None:
        """Close the connections of the model's client."""
        self._client.close()


class AsyncGuardedClient(_BaseGuardedClient):
    """Async variant of `GuardedClient`."""

    def __init__(self, client: AsyncClient, guardrails: "Guardrails") -> None:
        super().__init__(guardrails)
        self._client = client

    async def stream(self, call: Call) -> AsyncGenerator[Event]:
        """Check the input, send the request, and yield the events of the response that passed.

        Args:
            call: The call; use it once.

        Raises:
            GuardrailViolation: The policy does not allow the input or the output; `partial` is what passed.
            MDStreamError: As for `AsyncClient.stream`, or because the guardrails could not be applied.
        """
        output = GuardedOutput(self._policy)
        async with aclosing(self._stream(call, output)) as events:
            async for event in events:
                yield event

    async def complete(self, call: Call) -> ModelResponse:
        """Return the complete response, which is checked once, at its end. Raises as `stream` does."""
        output = GuardedOutput(self._policy, whole=True)
        events = [event async for event in self._stream(call, output)]
        return ModelResponse.from_events(events)

    async def _stream(self, call: Call, output: GuardedOutput) -> AsyncGenerator[Event]:
        is_guarded = self._is_guarded(call)
        if is_guarded:
            await self._check_input(call)
        async with aclosing(self._client.stream(call)) as response:
            if not is_guarded or not self._policy.check_output:
                async for event in response:
                    yield event
                return
            async with aclosing(aread_until_failure(response, output)) as received:
                async for event in received:
                    for passed in output.add(event):
                        yield passed
                    if output.is_due:
                        await self._check_output(output)
                        for passed in output.release():
                            yield passed
            await self._check_output(output)
            for passed in output.release(final=True):
                yield passed
            if output.failure is not None:
                raise output.replace_partial(output.failure)

    async def _check_input(self, call: Call) -> None:
        for slots in self._input_texts(call):
            texts = await self._guardrails.acheck([slot.text for slot in slots], slots[0].location)
            call.replace_params(replace_texts(call.params, zip(slots, texts, strict=True)))

    async def _check_output(self, output: GuardedOutput) -> None:
        with output.attach_partial():
            for channel in output.unchecked():
                output.record(channel, await self._guardrails.aapply(channel.text()))

    async def aclose(self) -> None:
        """Close this event loop's connections of the model's client."""
        await self._client.aclose()
