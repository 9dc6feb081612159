"""A small Amazon S3 on loopback, for asynchronous inference: objects in one process, with verified signatures."""

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import md5
from time import monotonic, time
from typing import Any
from urllib.parse import unquote

from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._response_plan import ResponsePlan
from mdstream_core.emulator._sigv4 import AWSKey, SignatureRejected, SigV4Verifier

PREFIX = "/s3/"

MAX_OBJECTS = 10_000  # a security limit, as is the next one
MAX_TOTAL_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object, which can be read from a time of the monotonic clock on."""

    data: bytes
    content_type: str
    visible_at: float = 0.0


class S3Store:
    """Objects by their location, such as `s3://bucket/key`, and the jobs that wrote them. Threads may share it."""

    def __init__(self) -> None:
        #: Seconds until the output or the failure of an asynchronous inference can be read.
        self.job_seconds = 0.0
        #: Whether the endpoints have an `S3FailurePath`, where failures are written.
        self.has_failure_path = True
        self._ended: list[tuple[float, dict[str, Any]]] = []
        self._objects: dict[str, StoredObject] = {}
        self._lock = threading.Lock()

    def put(self, location: str, stored: StoredObject) -> bool:
        """Store an object. Return whether there was room for it."""
        with self._lock:
            total = sum(len(one.data) for one in self._objects.values()) + len(stored.data)
            if len(self._objects) >= MAX_OBJECTS or total > MAX_TOTAL_BYTES:
                return False
            self._objects[location] = stored
            return True

    def get(self, location: str) -> StoredObject | None:
        """Return an object that is visible; `None` if there is none."""
        with self._lock:
            stored = self._objects.get(location)
        return stored if stored is not None and stored.visible_at <= monotonic() else None

    def delete(self, location: str) -> None:
        """Delete an object, if it exists."""
        with self._lock:
            self._objects.pop(location, None)

    def locations(self) -> list[str]:
        """Return the locations of all objects, those that are not visible yet included."""
        with self._lock:
            return sorted(self._objects)

    def add_notification(self, ended_at: float, message: dict[str, Any]) -> None:
        """Publish a message once its job has ended."""
        with self._lock:
            self._ended.append((ended_at, message))
            del self._ended[:-MAX_OBJECTS]

    def take_notifications(self) -> list[str]:
        """Return the notifications of jobs that have ended since the last call, as SNS delivers them to a queue."""
        with self._lock:
            now = monotonic()
            taken = [message for ended_at, message in self._ended if ended_at <= now]
            self._ended = [item for item in self._ended if item[0] > now]
        return [_wrap_notification(message) for message in taken]

    def clear(self) -> None:
        """Delete all objects and notifications, and complete jobs at once again."""
        with self._lock:
            self._objects.clear()
            self._ended.clear()
        self.job_seconds, self.has_failure_path = 0.0, True


def _wrap_notification(message: dict[str, Any]) -> str:
    """Wrap a message as SNS does for HTTP(S) and SQS ("Parsing Amazon SNS message formats")."""
    failed = message["invocationStatus"] == "Failed"
    wrapper = {
        "Type": "Notification",
        "MessageId": str(uuid.uuid4()),
        "TopicArn": f"arn:aws:sns:us-east-1:123456789012:{'error' if failed else 'success'}",
        "Message": json.dumps(message),
        "Timestamp": message["eventTime"],
        "SignatureVersion": "1",
    }
    return json.dumps(wrapper)


class S3Service:
    """`PutObject`, `GetObject`, `HeadObject` and `DeleteObject`, with buckets in the path; every bucket exists.

    Args:
        store: The objects.
        keys: Accepted access keys; without them every request is accepted.
        region: Region that requests have to be signed for.
        now: The clock, in seconds since 1970.
    """

    def __init__(
        self,
        store: S3Store,
        keys: Mapping[str, str | AWSKey] | None,
        region: str,
        now: Callable[[], float] = time,
    ) -> None:
        self._store = store
        self._signatures = SigV4Verifier(keys, "s3", region, now, encodes_path=False) if keys is not None else None

    def respond(self, http_request: RecordedRequest) -> ResponsePlan:
        """Build the response."""
        if self._signatures is not None:
            try:
                if "x-amz-content-sha256" not in http_request.headers:
                    return s3_error(400, "MissingSecurityHeader", "Missing header x-amz-content-sha256")
                self._signatures.check(http_request)
            except SignatureRejected as rejection:
                return s3_error(403, _S3_CODES.get(rejection.code, "AccessDenied"), rejection.message)
        location = f"s3://{unquote(http_request.path.removeprefix(PREFIX))}"
        operation = _OPERATIONS.get(http_request.method)
        if operation is None:
            return s3_error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        plan: ResponsePlan = operation(self._store, location, http_request)
        return plan


def _put(store: S3Store, location: str, http_request: RecordedRequest) -> ResponsePlan:
    content_type = http_request.headers.get("content-type", "binary/octet-stream")
    if not store.put(location, StoredObject(http_request.body, content_type)):
        return s3_error(503, "SlowDown", "Please reduce your request rate.")
    return _plan(200, b"", ("etag", f'"{md5(http_request.body, usedforsecurity=False).hexdigest()}"'))


def _get(store: S3Store, location: str, http_request: RecordedRequest) -> ResponsePlan:
    stored = store.get(location)
    if stored is None:
        return s3_error(404, "NoSuchKey", "The specified key does not exist.")
    return _plan(200, stored.data, ("content-type", stored.content_type))


def _delete(store: S3Store, location: str, http_request: RecordedRequest) -> ResponsePlan:
    store.delete(location)
    return _plan(204, b"")


_OPERATIONS: dict[str, Any] = {"PUT": _put, "GET": _get, "DELETE": _delete}

#: S3's codes for the gateways' codes of rejected signatures.
_S3_CODES = {
    "ExpiredTokenException": "ExpiredToken",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidAccessKeyId",
}


def s3_error(status: int, code: str, message: str) -> ResponsePlan:
    """Build an error response of S3."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return _plan(status, text.encode(), ("content-type", "application/xml"))


def _plan(status: int, body: bytes, *headers: tuple[str, str]) -> ResponsePlan:
    return ResponsePlan(status, headers, (body,) if body else (), framing="length")
