"""Jobs of asynchronous inference, and the notifications that Amazon SNS delivers when they end.

An endpoint publishes them if its `AsyncInferenceConfig` has a `NotificationConfig` (`SuccessTopic`, `ErrorTopic`). The
fields of a message are those that AWS's own code reads and its developer guide shows ("Check prediction results",
https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html); a failed job's message has
`failureReason` and may have no `responseParameters`. SNS wraps a message as its developer guide describes ("Parsing
Amazon SNS message formats"), and Amazon SQS and AWS Lambda wrap that once more.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from mdstream_core import _fork, _json

#: Maximum size of a message in bytes (SNS allows 256 KB), and how many wrappers it may have; security limits.
_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 6

#: How many notifications that no job waits for are kept: one may arrive before the response of its request.
_MAX_UNCLAIMED = 1000

_MAX_REASON = 4000


@dataclass(frozen=True, slots=True)
class InferenceJob:
    """A queued request, and where its output will be.

    Example:
        >>> job = InferenceJob("s3://bucket/outputs/1.out")
        >>> job == InferenceJob(**job.to_dict())  # as JSON, for another process that reads the output
        True
    """

    output_location: str
    """Where the output will be, such as `s3://bucket/outputs/1.out`."""
    failure_location: str | None = None
    """Where the error will be if the model fails; `None` if the endpoint has no `S3FailurePath`."""
    inference_id: str | None = None
    """Id of the request: yours, or the service's."""
    input_location: str | None = None
    """Where the input is; `None` if it was part of the request."""

    def to_dict(self) -> dict[str, str | None]:
        """Return the fields, to store them as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class InferenceNotification:
    """What SageMaker publishes when a job has ended.

    Example:
        >>> InferenceNotification.from_message('{"invocationStatus": "Failed", "inferenceId": "1"}').is_failure
        True
    """

    status: str
    """`invocationStatus`: `Completed` or `Failed`."""
    inference_id: str | None = None
    """Id of the request."""
    output_location: str | None = None
    """Where the output is."""
    input_location: str | None = None
    """Where the input is."""
    endpoint_name: str | None = None
    """Name of the endpoint."""
    failure_reason: str | None = None
    """Why the job failed."""

    @property
    def is_failure(self) -> bool:
        """Whether the job failed."""
        return self.status != "Completed"

    @classmethod
    def from_message(cls, message: str | bytes | Mapping[str, Any]) -> Self:
        """Parse a message with one notification.

        Args:
            message: The body that SNS sends to an HTTP(S) subscription, a message of SQS as boto3 returns it or its
                `Body`, a record or an event of Lambda, or SageMaker's JSON itself (raw message delivery).

        Raises:
            ValueError: It is no notification of asynchronous inference, or it has several.
        """
        first, *others = cls.from_messages(message)
        if others:
            raise ValueError(f"the message has {1 + len(others)} notifications (hint: use from_messages)")
        return first

    @classmethod
    def from_messages(cls, message: str | bytes | Mapping[str, Any]) -> list[Self]:
        """Parse a message with one or several notifications, such as an event of Lambda; see `from_message`."""
        return [cls._from_fields(fields) for fields in _unwrap(message, _MAX_DEPTH)]

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> Self:
        request, response = (_mapping(fields.get(name)) for name in ("requestParameters", "responseParameters"))
        reason = _text(fields.get("failureReason"))
        return cls(
            status=_json.to_text(fields["invocationStatus"])[:100],
            inference_id=_text(fields.get("inferenceId")),
            output_location=_text(response.get("outputLocation")),
            input_location=_text(request.get("inputLocation")),
            endpoint_name=_text(request.get("endpointName")),
            failure_reason=reason and reason[:_MAX_REASON],
        )

    def names(self, job: InferenceJob) -> bool:
        """Whether this is the notification of a job, by the first of these that both have: output, input, id."""
        if self.output_location:
            return self.output_location == job.output_location
        if self.input_location and job.input_location:
            return self.input_location == job.input_location
        return bool(self.inference_id) and self.inference_id == job.inference_id


class ExpectedNotification:
    """A notification that a job waits for."""

    def __init__(self, job: InferenceJob) -> None:
        self.job = job
        #: The notification, once it was delivered.
        self.notification: InferenceNotification | None = None
        self._callback: Callable[[], object] | None = None

    def set_callback(self, callback: Callable[[], object]) -> None:
        """Call this function, and no earlier one, when the notification is delivered; at once if it was."""
        self._callback = callback
        if self.notification is not None:
            callback()

    def deliver(self, notification: InferenceNotification) -> None:
        """Store the notification, from any thread, and call the function; it may be called twice."""
        self.notification = notification
        if (callback := self._callback) is not None:
            callback()


class JobNotifications:
    """Passes notifications of SNS to the jobs that wait, which then need not poll. Threads and models may share one.

    Your application receives the notifications, from a queue of SQS or as a web hook, and passes each to `add`. A job
    reads its output from S3 as soon as its notification was added. Notifications can be lost, so that jobs poll too,
    every `AsyncInference.poll_interval` seconds.

    A message cannot make a job read another object: locations are those that SageMaker returned for the request. But a
    forged one could report that a job failed. So verify the signature of a web hook's messages, with the certificate of
    `SigningCertURL`; a queue's messages need no check if its policy admits the topic only.

    Example:
        ```python
        notifications = JobNotifications()
        chat = ChatSagemakerEndpoint(
            endpoint_name="my-async-endpoint",
            async_inference=AsyncInference("s3://my-bucket/inputs", poll_interval=60, notifications=notifications),
        )
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages", []):
            notifications.add(message)
        ```
    """

    def __init__(self) -> None:
        self._lock = _fork.Lock()
        self.reset_after_fork()
        _fork.register(self)

    def reset_after_fork(self) -> None:
        """Forget the jobs of the parent's threads, which are not in a forked process."""
        self._expected: list[ExpectedNotification] = []
        self._unclaimed: deque[InferenceNotification] = deque(maxlen=_MAX_UNCLAIMED)

    def add(self, message: str | bytes | Mapping[str, Any]) -> int:
        """Pass on the notifications of a message, from any thread. Return how many jobs waited for them.

        Args:
            message: As for `InferenceNotification.from_message`; an event of Lambda may have several notifications.

        Raises:
            ValueError: The message is no notification of asynchronous inference.
        """
        delivered = 0
        for notification in InferenceNotification.from_messages(message):
            with self._lock:
                waiting = [one for one in self._expected if notification.names(one.job)]
                if not waiting:
                    self._unclaimed.append(notification)
            for expected in waiting:
                expected.deliver(notification)
            delivered += len(waiting)
        return delivered

    def expect(self, job: InferenceJob) -> ExpectedNotification:
        """Wait for the notification of a job, which may have arrived already."""
        expected = ExpectedNotification(job)
        with self._lock:
            self._expected.append(expected)
            early = next((one for one in self._unclaimed if one.names(job)), None)
            if early is not None:
                self._unclaimed.remove(early)
        if early is not None:
            expected.deliver(early)
        return expected

    def discard(self, expected: ExpectedNotification) -> None:
        """Stop waiting."""
        with self._lock:
            if expected in self._expected:
                self._expected.remove(expected)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()  # another process has notifications of its own


def _unwrap(message: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """Yield SageMaker's objects inside of the wrappers of SNS, SQS and Lambda."""
    if isinstance(message, str | bytes):
        message = _parse(message)
    if not isinstance(message, Mapping) or depth == 0:
        raise ValueError("the message is no notification of asynchronous inference")
    if "invocationStatus" in message:
        yield message
        return
    if message.get("Type") in {"SubscriptionConfirmation", "UnsubscribeConfirmation"}:
        raise ValueError(f"the message is a {message['Type']} of SNS (hint: confirm it by a GET of its SubscribeURL)")
    for name in ("Records", "Messages"):
        if isinstance(message.get(name), list) and message[name]:
            for record in message[name]:
                yield from _unwrap(record, depth - 1)
            return
    inner = next((message[name] for name in ("Sns", "Message", "Body", "body") if message.get(name)), None)
    yield from _unwrap(inner, depth - 1)


def _parse(message: str | bytes) -> Any:
    if len(message) > _MAX_BYTES:
        raise ValueError(f"the message has more than {_MAX_BYTES} bytes")
    try:
        return _json.loads(message)
    except ValueError:
        raise ValueError("the message is no notification of asynchronous inference: it is not JSON") from None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
