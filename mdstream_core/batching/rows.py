"""Results of rows: values, errors as text, token counts, and which errors end a batch."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from mdstream_core.errors import (
    AuthenticationError,
    MDStreamError,
    NotFound,
    PermissionDenied,
    StreamError,
)
from mdstream_core.events import ModelResponse, Usage
from mdstream_core.hooks import CallEvent, CallInfo, Completed, Failed, ResponseStarted
from mdstream_core.retry import Retry, RetryQuota

#: Which errors end a batch; see `EmbedColumn`.
OnError = Literal["auto", "row", "raise"]

#: Errors that every other row would get too: the credentials, their permissions, or the address are wrong.
_CONFIGURATION_ERRORS = (AuthenticationError, PermissionDenied, NotFound)

#: Maximum length of the text in the column `error`, in characters. This is a limit for tables that hold many errors.
MAX_ERROR_CHARS = 2000

T = TypeVar("T")


class RowError(MDStreamError):
    """A row cannot be processed, or its output is not what was requested.

    `code` is one of:

    | code | meaning |
    |---|---|
    | `MissingValue` | the value is null |
    | `InvalidValue` | the value is neither text nor, for generation, a list of messages |
    | `InvalidOutput` | the output does not follow the schema; `partial` has the text |
    | `ModelRefusal` | the model refused; `partial` has its explanation |
    | `ContentFiltered` | a content filter stopped the output; `partial` has the text before |
    | `NotSent` | the error of another row ended the batch |
    """


@dataclass(frozen=True, slots=True)
class RowResult:
    """The result of one row: a value, or an error."""

    value: Any = None
    """The vector, the text or the structured output; `None` if the row failed."""
    error: str | None = None
    """Class, code and message of the error; `None` if there is a value."""
    partial: str | None = None
    """Text that was received before the error."""
    input_tokens: int | None = None
    """Tokens of the input, if the server reported them."""
    output_tokens: int | None = None
    """Tokens of the output, if the server reported them."""
    request_id: str | None = None
    """Request id of the service, if there is one."""


class RowCollector:
    """Collects the results of the rows of one batch.

    Args:
        count: Number of rows.
        on_error: Which errors end the batch.
    """

    def __init__(self, count: int, on_error: OnError) -> None:
        self.results: list[RowResult | None] = [None] * count
        self._on_error = on_error

    def add(self, index: int, result: RowResult) -> None:
        """Add the result of a row."""
        self.results[index] = result

    def add_error(self, index: int, error: MDStreamError, recorder: "CallRecorder | None" = None) -> None:
        """Add the error of a row, with what its last call received."""
        recorder = recorder or CallRecorder()
        self.results[index] = RowResult(
            error=describe_error(error),
            partial=_partial_text(error.partial) or _partial_text(recorder.response),
            input_tokens=recorder.usage.input if recorder.usage else None,
            output_tokens=recorder.usage.output if recorder.usage else None,
            request_id=error.request_id or recorder.request_id,
        )

    def is_fatal(self, error: MDStreamError) -> bool:
        """Whether an error ends the batch."""
        if self._on_error == "auto":
            return is_configuration_error(error)
        return self._on_error == "raise"


def is_configuration_error(error: MDStreamError) -> bool:
    """Whether an error is that of the credentials, the address or the headers, which all rows share."""
    return isinstance(error, _CONFIGURATION_ERRORS) or error.code == "InvalidHeader"


def describe_error(error: MDStreamError) -> str:
    """Describe an error in one text: its class, its code if there is one, and its message.

    >>> describe_error(MDStreamError("the row is empty", code="Empty"))
    'MDStreamError Empty: the row is empty'
    """
    text = f"{' '.join(filter(None, (type(error).__name__, error.code)))}: {error}"
    return text if len(text) <= MAX_ERROR_CHARS else text[: MAX_ERROR_CHARS - 1] + "…"


def _partial_text(response: Any) -> str | None:
    """Return what was received: text, the arguments of tool calls, or a refusal."""
    if not isinstance(response, ModelResponse):
        return None
    return response.text or "".join(call.arguments for call in response.tool_calls) or response.refusal or None


class CallRecorder:
    """Hook that records the last call of a row: its request id, and its response or error."""

    def __init__(self) -> None:
        self.request_id: str | None = None
        self.response: ModelResponse | None = None

    def start_call(self, info: CallInfo) -> Callable[[CallEvent], None]:
        """Return the callback for a call."""
        return self._record

    def _record(self, event: CallEvent) -> None:
        match event:
            case ResponseStarted(request_id=request_id):
                self.request_id = request_id
            case Completed(response):
                self.response = response
            case Failed(error):
                self.response = error.partial

    @property
    def usage(self) -> Usage | None:
        """Token counts that the server reported."""
        return self.response.usage if self.response else None


class _RetryPolicy(Protocol):
    """What a `mdstream_core.Service` has: the policy and the budget of its retries."""

    retry: Retry
    retry_quota: RetryQuota | None


async def resend_interrupted(send: Callable[[], Awaitable[T]], policy: _RetryPolicy) -> T:
    """Send a request whose stream nobody reads meanwhile, and send it again as a whole if the stream breaks.

    Failures before the first event are not handled here: the call itself retries them.

    Args:
        send: Sends the request and returns the complete output.
        policy: Limits and delays of the retries, such as a `Service`.

    Raises:
        MDStreamError: The last error; `partial` is the output received before it.
    """
    failures = 0
    while True:
        try:
            output = await send()
        except StreamError as error:
            failures += 1
            is_interrupted = error.partial is not None and policy.retry.should_retry(failures, error)
            if not is_interrupted or (policy.retry_quota and not policy.retry_quota.spend()):
                raise
            delay = policy.retry.delay(failures, error)
        else:
            if failures and policy.retry_quota:
                policy.retry_quota.refund(retried=True)
            return output
        await asyncio.sleep(delay)
