"""Jobs of asynchronous inference: expiring credentials, notifications, response facts, and jobs that are read later."""

import asyncio
import copy
import datetime as dt
import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from _platforms import emulator, shared_emulator
from botocore.credentials import Credentials, RefreshableCredentials
from llama_index.core.llms import ChatMessage
from test_sagemaker_async_inference import fields

from langchain_mdstream import ChatSagemakerEndpoint, SagemakerEndpointEmbeddings
from llamaindex_mdstream import SageMakerLLM
from mdstream_core import AsyncInference, InferenceJob, InferenceNotification, JobNotifications, errors
from mdstream_core.auth.aws import AWSSigner
from mdstream_core.emulator import AWSKey, Emulator
from mdstream_core.transport._cancellation import CancelToken, RequestCancelled, inherited_token

__all__ = ["emulator", "shared_emulator"]  # fixtures

HI = [ChatMessage("Hello")]

CALLS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "LangChain": (ChatSagemakerEndpoint, lambda model: model.invoke("Hi").text),
    "LangChain async": (ChatSagemakerEndpoint, lambda model: asyncio.run(model.ainvoke("Hi")).text),
    "LlamaIndex": (SageMakerLLM, lambda llm: llm.chat(HI).message.content),
    "LlamaIndex async": (SageMakerLLM, lambda llm: asyncio.run(llm.achat(HI)).message.content),
}
each_call = pytest.mark.parametrize(("cls", "send"), CALLS.values(), ids=CALLS)

OLD, NEW = ("AKIDOLD", "old secret", "old token"), ("AKIDNEW", "new secret", "new token")


class ExpiringKeys:
    """An emulator whose first key expires after some requests."""

    def __init__(self, accepted: int) -> None:
        self.accepted = accepted
        soon = time.time() + 100
        keys = {OLD[0]: AWSKey(OLD[1], OLD[2], soon), NEW[0]: AWSKey(NEW[1], NEW[2])}
        self.emulator = Emulator(aws_keys=keys, clock=self.now)

    def now(self) -> float:
        """The clock, which jumps over the end of the first key. The request itself is among those received."""
        return time.time() + (200 if len(self.emulator.requests) > self.accepted else 0)


def signer(*, can_reload: bool = True) -> AWSSigner:
    """A signer that does not know when its key expires, as with keys from the environment."""
    new = Credentials(*NEW)
    return AWSSigner("us-east-1", lambda: new, credentials=Credentials(*OLD), reload_credentials=can_reload)


def keys_used(emulator: Emulator) -> list[str]:
    """The access keys that have signed the requests."""
    return [
        request.headers["authorization"].partition("Credential=")[2].partition("/")[0] for request in emulator.requests
    ]


@pytest.mark.parametrize("accepted", [0, 1, 2, 3], ids=["the upload", "the invocation", "a poll", "a later poll"])
@each_call
def test_a_rejected_key_is_replaced_wherever_it_expires(cls: Any, send: Callable[[Any], Any], accepted: int) -> None:
    """The job runs once, and the next request is signed with the new key."""
    keys = ExpiringKeys(accepted)
    with keys.emulator as emulator:
        emulator.sagemaker.objects.job_seconds = 0.2
        assert send(cls(**fields(emulator, aws_access_key_id=None, aws_secret_access_key=None, auth=signer())))

        queued = [
            index for index, request in enumerate(emulator.requests) if request.path.endswith("/async-invocations")
        ]
        used = keys_used(emulator)
        assert [OLD[0]] * (accepted + 1) == used[: accepted + 1]
        assert {NEW[0]} == set(used[accepted + 1 :])
        assert (2 if accepted == 1 else 1) == len(queued)  # a rejected invocation is not queued
        assert 1 == sum(location.startswith("s3://emulated") for location in emulator.sagemaker.objects.locations())


@each_call
def test_a_key_that_cannot_be_replaced_does_not_lose_the_job(cls: Any, send: Callable[[Any], Any]) -> None:
    """The error names the job, which is not queued again; other credentials read its output."""
    keys = ExpiringKeys(2)
    with keys.emulator as emulator:
        options = fields(emulator, aws_access_key_id=None, aws_secret_access_key=None, max_retries=2)
        with pytest.raises(errors.AuthenticationError, match="ExpiredToken") as raised:
            send(cls(**options, auth=signer(can_reload=False)))
        assert not raised.value.retryable
        assert 1 == sum(request.path.endswith("/async-invocations") for request in emulator.requests)

        job = pickle.loads(pickle.dumps(raised.value)).inference_job
        later = replace(options["async_inference"], job=InferenceJob(**json.loads(json.dumps(job.to_dict()))))
        options |= {"async_inference": later, "auth": AWSSigner.from_keys(*NEW, region_name="us-east-1")}
        assert send(cls(**options))
        assert 1 == sum(request.path.endswith("/async-invocations") for request in emulator.requests)


@each_call
def test_credentials_that_expire_soon_are_refreshed_before(cls: Any, send: Callable[[Any], Any]) -> None:
    """While the job runs: no request is signed with a key that another has replaced."""
    fetched: list[str] = []

    def fetch() -> dict[str, str]:
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=300.15)  # a refresh is due five minutes before
        fetched.append(f"AKID{len(fetched):02}")
        return {"access_key": fetched[-1], "secret_key": "s", "token": "t", "expiry_time": end.isoformat()}

    credentials = RefreshableCredentials.create_from_metadata(fetch(), fetch, "assume-role")
    auth = AWSSigner("us-east-1", lambda: None, credentials=credentials)
    with Emulator(aws_keys={f"AKID{number:02}": AWSKey("s", "t") for number in range(100)}) as emulator:
        emulator.sagemaker.objects.job_seconds = 0.6
        assert send(cls(**fields(emulator, aws_access_key_id=None, aws_secret_access_key=None, auth=auth)))
        used = keys_used(emulator)

    assert 3 <= len(set(used))
    assert sorted(used) == used


#: call: function that returns where the facts of the response are
FACTS: dict[str, Callable[[SageMakerLLM], list[dict[str, Any]]]] = {
    "chat": lambda llm: [(r := llm.chat(HI)).raw, r.additional_kwargs],
    "achat": lambda llm: [(r := asyncio.run(llm.achat(HI))).raw, r.additional_kwargs],
    "complete": lambda llm: [(r := llm.complete("Hi")).raw, r.additional_kwargs],
    "stream_chat": lambda llm: [(r := list(llm.stream_chat(HI))[-1]).raw, r.additional_kwargs],
    "stream_complete": lambda llm: [(r := list(llm.stream_complete("Hi"))[-1]).raw, r.additional_kwargs],
}


@pytest.mark.parametrize("read", FACTS.values(), ids=FACTS)
def test_llamaindex_reports_the_output(
    emulator: Emulator, read: Callable[[SageMakerLLM], list[dict[str, Any]]]
) -> None:
    """`OutputLocation` and `ContentType` in `raw` and `additional_kwargs`, as `response_metadata` in LangChain."""
    for facts in read(SageMakerLLM(**fields(emulator))):
        assert facts["OutputLocation"] in emulator.sagemaker.objects.locations()
        assert facts["ContentType"].startswith(("application/json", "text/event-stream"))


def pumped(emulator: Emulator, notifications: JobNotifications) -> threading.Thread:
    """A thread that passes on what the emulated SNS delivers, until one has arrived."""

    def run() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            messages = emulator.sagemaker.objects.take_notifications()
            for message in messages:
                notifications.add({"MessageId": "1", "Body": message})  # as boto3 returns it from SQS
            if messages:
                return
            time.sleep(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def notified(emulator: Emulator, notifications: JobNotifications, **options: Any) -> dict[str, Any]:
    """Constructor arguments for jobs that practically do not poll."""
    arguments = fields(emulator, options.pop("inputs", "s3://inputs/prefix"), poll_interval=15, **options)
    return {**arguments, "async_inference": replace(arguments["async_inference"], notifications=notifications)}


@pytest.mark.parametrize("inputs", ["s3://inputs/prefix", None], ids=["input in S3", "input in the request"])
@each_call
def test_a_notification_ends_the_wait(
    emulator: Emulator, cls: Any, send: Callable[[Any], Any], inputs: str | None
) -> None:
    """The output is read at once, with two requests for each object at most."""
    emulator.sagemaker.objects.job_seconds = 0.2
    notifications = JobNotifications()
    thread = pumped(emulator, notifications)
    started = time.monotonic()
    assert send(cls(**notified(emulator, notifications, inputs=inputs)))
    thread.join()

    assert 12 > time.monotonic() - started
    assert 4 >= sum(request.path.startswith("/s3/emulated/") for request in emulator.requests)


@each_call
def test_a_failure_without_a_failure_path_is_reported_by_its_notification(
    emulator: Emulator, cls: Any, send: Callable[[Any], Any]
) -> None:
    """Without an `S3FailurePath` nothing in S3 shows it, so that polling would last until the timeout."""
    emulator.sagemaker.objects.has_failure_path = False
    notifications = JobNotifications()
    thread = pumped(emulator, notifications)
    with pytest.raises(errors.ServiceError, match=r"ModelError.* 400: .*error \(400\)") as raised:
        send(cls(**notified(emulator, notifications, max_retries=2), model_kwargs={"n": "many"}))
    thread.join()

    assert not raised.value.retryable
    assert isinstance(raised.value.inference_job, InferenceJob)
    assert 1 == sum(request.path.endswith("/async-invocations") for request in emulator.requests)


@each_call
def test_a_failure_of_a_shared_id_fails_no_other_job(emulator: Emulator, cls: Any, send: Callable[[Any], Any]) -> None:
    """A notification by which only your own id is named ends the pause, and the output decides."""
    emulator.sagemaker.objects.job_seconds = 0.3
    notifications = JobNotifications()
    notifications.add({"invocationStatus": "Failed", "inferenceId": "shared"})  # of an earlier request
    options = notified(emulator, notifications, inputs=None, inference_id="shared")
    options["async_inference"] = replace(options["async_inference"], poll_interval=0.05)

    assert send(cls(**options))


def test_cancelling_ends_the_wait_for_a_notification(emulator: Emulator) -> None:
    """Of a thread by the token of its call."""
    emulator.sagemaker.objects.job_seconds = 60
    token = CancelToken()
    inherited_token.set(token)
    timer = threading.Timer(0.5, token.cancel)
    timer.start()
    started = time.monotonic()
    try:
        with pytest.raises(RequestCancelled):
            ChatSagemakerEndpoint(**notified(emulator, JobNotifications())).invoke("Hi")
    finally:
        inherited_token.set(None)
    assert 10 > time.monotonic() - started


def test_jobs_that_have_ended_expect_nothing(emulator: Emulator) -> None:
    """Whatever ends them."""
    notifications = JobNotifications()
    ChatSagemakerEndpoint(**notified(emulator, notifications)).invoke("Hi")
    emulator.sagemaker.objects.job_seconds = 60
    options = notified(emulator, notifications)
    options["async_inference"] = replace(options["async_inference"], timeout=0.1)
    with pytest.raises(errors.StreamStalled):
        ChatSagemakerEndpoint(**options).invoke("Hi")

    assert [] == notifications._expected


def test_each_job_is_reported_when_it_is_queued(emulator: Emulator) -> None:
    """`on_submitted`, before its output is there, so that another process can read it."""
    emulator.sagemaker.objects.job_seconds = 60
    jobs: list[InferenceJob] = []
    options = fields(emulator, timeout=0.1)
    options["async_inference"] = replace(options["async_inference"], on_submitted=jobs.append)
    with pytest.raises(errors.StreamStalled) as raised:
        ChatSagemakerEndpoint(**options).invoke("Hi")

    assert [raised.value.inference_job] == jobs
    assert jobs[0].output_location.startswith("s3://emulated/outputs/")
    assert jobs[0].failure_location
    assert jobs[0].input_location in emulator.sagemaker.objects.locations()
    assert jobs[0].inference_id


def test_embeddings_of_a_job_are_read_later(emulator: Emulator) -> None:
    """The output is the same, whichever request reads it."""
    options = fields(emulator, dialect="openai-embeddings")
    jobs: list[InferenceJob] = []
    options["async_inference"] = replace(options["async_inference"], on_submitted=jobs.append)
    vectors = SagemakerEndpointEmbeddings(**options).embed_documents(["a", "b"])
    options["async_inference"] = replace(options["async_inference"], job=jobs[0])

    assert vectors == SagemakerEndpointEmbeddings(**options).embed_documents(["a", "b"])
    assert 1 == len(jobs)


MESSAGE = {
    "awsRegion": "us-east-1",
    "eventTime": "2026-01-25T22:46:00.608Z",
    "receivedTime": "2026-01-25T22:46:00.455Z",
    "invocationStatus": "Completed",
    "requestParameters": {"contentType": "application/json", "endpointName": "e", "inputLocation": "s3://in/1"},
    "responseParameters": {"contentType": "application/json", "outputLocation": "s3://out/1.out"},
    "inferenceId": "11111111-2222-3333-4444-555555555555",
    "eventVersion": "1.0",
    "eventSource": "aws:sagemaker",
    "eventName": "InferenceResult",
}
TEXT = json.dumps(MESSAGE)
SNS = json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:topic", "Message": TEXT})

#: how a notification arrives: what the application passes on
FORMS: dict[str, Any] = {
    "an HTTP(S) subscription": SNS.encode(),
    "an HTTP(S) subscription with raw delivery": TEXT.encode(),
    "the body of a message of SQS": SNS,
    "a message of SQS, as boto3 returns it": {"MessageId": "1", "ReceiptHandle": "x", "Body": SNS},
    "a message of SQS with raw delivery": {"MessageId": "1", "Body": TEXT},
    "boto3's response of receive_message": {"Messages": [{"Body": SNS}]},
    "an event of Lambda from SNS": {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": TEXT}}]},
    "an event of Lambda from SQS": {"Records": [{"eventSource": "aws:sqs", "body": SNS}]},
    "SageMaker's object": MESSAGE,
}


@pytest.mark.parametrize("message", FORMS.values(), ids=FORMS)
def test_notifications_are_parsed_in_every_wrapper(message: Any) -> None:
    """The fields are SageMaker's."""
    assert InferenceNotification(
        "Completed", MESSAGE["inferenceId"], "s3://out/1.out", "s3://in/1", "e"
    ) == InferenceNotification.from_message(message)
    assert InferenceNotification.from_message(message).names(InferenceJob("s3://out/1.out"))


INVALID: dict[str, tuple[Any, str]] = {
    "no JSON": ("hello", "it is not JSON"),
    "another object": ({"Records": [{"s3": {"bucket": {"name": "b"}}}]}, "no notification"),
    "a list": ("[]", "no notification"),
    "too many wrappers": (json.dumps({"Message": json.dumps({"Message": json.dumps({"Message": "{}"})})}), "no notif"),
    "a confirmation": ({"Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns"}, "SubscribeURL"),
    "too long": ("x" * 2_000_000, "bytes"),
    "several": ({"Records": [{"Sns": {"Message": TEXT}}, {"Sns": {"Message": TEXT}}]}, "has 2 notifications"),
}


@pytest.mark.parametrize(("message", "problem"), INVALID.values(), ids=INVALID)
def test_other_messages_are_errors(message: Any, problem: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=problem):
        InferenceNotification.from_message(message)


def test_a_message_names_one_job_only() -> None:
    """By its output, else its input, else its id."""
    job = InferenceJob("s3://o/1", inference_id="1", input_location="s3://i/1")
    same = {"inference_id": "1", "input_location": "s3://i/1"}

    assert InferenceNotification("Completed", output_location="s3://o/1").names(job)
    assert not InferenceNotification("Completed", output_location="s3://o/2", **same).names(job)
    assert not InferenceNotification("Failed", inference_id="1", input_location="s3://i/2").names(job)
    assert InferenceNotification("Failed", inference_id="1").names(job)
    assert not InferenceNotification("Failed").names(InferenceJob("s3://o/1"))


def test_copies_share_the_notifications() -> None:
    """Models are copied by `model_copy` and `bind`; another process has its own."""
    notifications = JobNotifications()
    options = AsyncInference(notifications=notifications)

    assert notifications is copy.deepcopy(options).notifications
    assert isinstance(pickle.loads(pickle.dumps(options)).notifications, JobNotifications)


def test_early_notifications_are_kept_up_to_a_limit() -> None:
    """One that arrives before the response of its request is not lost, and an endless number needs no memory."""
    notifications = JobNotifications()
    for number in range(3000):
        assert 0 == notifications.add({"invocationStatus": "Failed", "inferenceId": str(number)})

    assert 1000 == len(notifications._unclaimed)
    assert notifications.expect(InferenceJob("s3://o/1", inference_id="2999")).notification
    assert not notifications.expect(InferenceJob("s3://o/1", inference_id="2999")).notification
    assert not notifications.expect(InferenceJob("s3://o/1", inference_id="0")).notification


@pytest.fixture(autouse=True)
def _no_inherited_token() -> Iterator[None]:
    yield
    assert inherited_token.get() is None
