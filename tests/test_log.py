"""Log records: one line for each attempt and each end of a call, on every platform, with both frameworks."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from _langchain_platforms import chat_at, each_platform, emulator, shared_emulator
from _llamaindex_platforms import ACCOUNTS
from _llamaindex_platforms import PLATFORM_CASES as LLAMAINDEX_CASES
from _platforms import PLATFORM_CASES, PlatformCase
from llama_index.core.llms import ChatMessage

from mdstream_core import OCIModelDeployment, OpenAIChat, Retry, Service
from mdstream_core.auth import Signer
from mdstream_core.emulator import Emulator, Fault
from mdstream_core.errors import AuthenticationError, MDStreamError
from mdstream_core.http import Request

__all__ = ["emulator", "shared_emulator"]

PROMPT = "Tell me the secret of the old lighthouse."


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Callable[[], list[logging.LogRecord]]:
    """The records of mdstream, with the root logger at INFO."""
    caplog.set_level(logging.INFO)
    return lambda: [record for record in caplog.records if record.name.startswith("mdstream")]


def langchain_sync(model: Any) -> None:
    list(model.stream(PROMPT))


def langchain_async(model: Any) -> None:
    async def main() -> None:
        async for _ in model.astream(PROMPT):
            pass

    asyncio.run(main())


def llamaindex_sync(model: Any) -> None:
    list(model.stream_chat([ChatMessage(PROMPT)]))


def llamaindex_async(model: Any) -> None:
    async def main() -> None:
        async for _ in await model.astream_chat([ChatMessage(PROMPT)]):
            pass

    asyncio.run(main())


def _check_lines(found: list[logging.LogRecord]) -> None:
    """Two attempts that failed, the response to the third, and its end."""
    retried = [("mdstream.retry", "WARNING"), ("mdstream.retry", "WARNING"), ("mdstream.retry", "INFO")]
    assert [*retried, ("mdstream", "INFO")] == [(record.name, record.levelname) for record in found]
    refused, dropped, responded, end = (vars(record) for record in found)
    assert ("retry", 1, "RateLimited") == tuple(refused[f"mdstream_{name}"] for name in ("event", "attempts", "error"))
    assert refused["mdstream_status"] in {400, 429}  # AWS has 400
    assert ("retry", 2, "ConnectionFailed") == tuple(
        dropped[f"mdstream_{name}"] for name in ("event", "attempts", "error")
    )
    assert ("responded", 3) == tuple(responded[f"mdstream_{name}"] for name in ("event", "attempts"))
    assert ("completed", 3, True) == tuple(end[f"mdstream_{name}"] for name in ("event", "attempts", "stream"))
    assert end["mdstream_output_tokens"] > 0 < end["mdstream_input_tokens"]
    assert 0 < end["mdstream_time_to_first_token"] <= end["mdstream_duration"]
    for record in (refused, responded, end):
        assert record["mdstream_request_id"] in record["message"]
    assert "lighthouse" not in "".join(f"{record.getMessage()} {vars(record)}" for record in found)


#: The rate limits' error responses, which have a request id.
_REFUSALS = {
    "oci-model-deployment": Fault("refuse", "lb_bandwidth"),
    "oci-genai": Fault("refuse", "tenancy_rate"),
    "sagemaker": Fault("refuse_aws", "ThrottlingException"),
    "modelarts": Fault("refuse", "modelarts_traffic"),
}


def _script_attempts(emulator: Emulator, service: Service) -> None:
    """Script an attempt that is refused, one whose connection is lost, and a response."""
    service.retry = Retry(3, base_delay=0.001)
    emulator.script(_REFUSALS[service.platform.name], Fault("drop"), None)


@each_platform
@pytest.mark.parametrize("send", [langchain_sync, langchain_async])
def test_each_attempt_of_langchain_is_one_line(
    emulator: Emulator, records: Callable[..., Any], platform_case: PlatformCase, send: Callable[..., None]
) -> None:
    """And the end of the call is one more."""
    model = chat_at(platform_case, emulator)
    _script_attempts(emulator, model.service)
    send(model)

    _check_lines(records())
    assert {platform_case.kind} == {
        {"modelarts": platform_case.kind}.get(record.mdstream_platform, record.mdstream_platform)
        for record in records()
    }


@pytest.fixture(scope="module")
def llamaindex_emulator() -> Iterator[Emulator]:
    """An emulator with the accounts of the LlamaIndex models."""
    with Emulator(**ACCOUNTS) as emulator:
        yield emulator


@pytest.mark.parametrize("name", LLAMAINDEX_CASES)
@pytest.mark.parametrize("send", [llamaindex_sync, llamaindex_async])
def test_each_attempt_of_llamaindex_is_one_line(
    llamaindex_emulator: Emulator, records: Callable[..., Any], name: str, send: Callable[..., None]
) -> None:
    """As with LangChain."""
    llamaindex_emulator.reset()
    model = LLAMAINDEX_CASES[name].build(llamaindex_emulator)
    _script_attempts(llamaindex_emulator, model._get_service())
    send(model)

    _check_lines(records())


@each_platform
@pytest.mark.parametrize("send", [langchain_sync, langchain_async])
@pytest.mark.parametrize("level", [logging.WARNING, logging.DEBUG])
def test_a_stream_that_failed_after_output_is_one_warning(
    emulator: Emulator,
    caplog: pytest.LogCaptureFixture,
    platform_case: PlatformCase,
    send: Callable[..., None],
    level: int,
) -> None:
    """At every level; its times are measured if INFO is enabled."""
    caplog.set_level(level)
    emulator.script(Fault("cut", after=platform_case.count_events(3)))
    with pytest.raises(MDStreamError):
        send(chat_at(platform_case, emulator))
    found = [
        record for record in caplog.records if record.name.startswith("mdstream") and record.levelno > logging.INFO
    ]

    assert ["failed after output" in record.getMessage() for record in found] == [True]
    assert ("failed", "StreamInterrupted", 1) == tuple(
        vars(found[0])[f"mdstream_{name}"] for name in ("event", "error", "attempts")
    )
    assert ("mdstream_time_to_first_token" in vars(found[0])) is (level < logging.WARNING)
    assert found[0].exc_info is None


@each_platform
def test_no_prompt_or_output_is_logged(
    emulator: Emulator, caplog: pytest.LogCaptureFixture, platform_case: PlatformCase
) -> None:
    """At DEBUG, also if the service quotes the prompt in its error: the message and a code that is none are left out."""
    caplog.set_level(logging.DEBUG)
    model = chat_at(platform_case, emulator)
    output = "".join(chunk.text for chunk in model.stream(PROMPT))
    emulator.script(Fault("refuse", status=400, code=f"Bad: {PROMPT}", message=f"{PROMPT} is invalid"))
    with pytest.raises(MDStreamError, match="lighthouse"):
        langchain_sync(model)
    lines = [f"{record.getMessage()} {vars(record)}" for record in caplog.records if record.name.startswith("mdstream")]

    assert output
    assert ["request", "connection", "response", "completed", "request", "connection", "response", "failed"] == [
        record.mdstream_event for record in caplog.records if record.name.startswith("mdstream")
    ]
    assert [] == [line for line in lines if "lighthouse" in line or output in line]


def test_connections_are_logged(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Opened for the first request, reused for the second."""
    caplog.set_level(logging.DEBUG, "mdstream.transport")
    model = chat_at(PLATFORM_CASES["OCI model deployment"], emulator)
    langchain_sync(model)
    langchain_sync(model)
    found = [record for record in caplog.records if record.name == "mdstream.transport"]

    assert [False, True] == [record.mdstream_reused for record in found]
    assert [f"connection {state}: {found[0].mdstream_origin}" for state in ("opened", "reused")] == [
        record.getMessage() for record in found
    ]


@pytest.mark.filterwarnings("ignore:the model rejects")
def test_a_dropped_parameter_is_logged(emulator: Emulator, records: Callable[..., Any]) -> None:
    """With its name, and the retry without it."""
    model = chat_at(PLATFORM_CASES["OCI model deployment"], emulator, temperature=0.5)
    message = "Unsupported parameter: 'temperature' is not supported with this model."
    emulator.script(Fault("refuse", status=400, message=message), None)
    langchain_sync(model)

    assert ["parameter_dropped", "retry", "responded", "completed"] == [record.mdstream_event for record in records()]
    assert records()[0].mdstream_parameter == "temperature"
    assert "temperature=0.5" in records()[0].getMessage()


class TokenSigner(Signer):
    """Signer with a token that is fetched once; fetching it a second time is rejected."""

    credential_source = "a token of the test"
    expires_in = 3600.0

    def sign(self, request: Request) -> Request:
        return request

    def needs_refresh(self) -> bool:
        return not self.generation

    def fetch_credential(self) -> None:
        if self.generation:
            raise AuthenticationError("the password hunter2 is wrong", status=401)


def test_a_refresh_is_logged(records: Callable[..., Any]) -> None:
    """With source and validity; a failed one as a warning, without its message."""
    signer = TokenSigner()
    signer.refresh(0)
    with pytest.raises(AuthenticationError):
        signer.refresh(1)
    refreshed, failed = records()

    assert ("INFO", "credential refreshed: a token of the test; valid for 3600 s") == (
        refreshed.levelname, refreshed.getMessage()
    )  # fmt: skip
    assert (refreshed.mdstream_credential_source, refreshed.mdstream_expires_in) == ("a token of the test", 3600.0)
    assert ("WARNING", 401) == (failed.levelname, failed.mdstream_status)
    assert "hunter2" not in f"{failed.getMessage()} {vars(failed)}"


def test_calls_that_end_early_are_logged(emulator: Emulator, records: Callable[..., Any]) -> None:
    """A stream that is closed, and a call that another exception ends."""
    stream = chat_at(PLATFORM_CASES["OCI model deployment"], emulator).stream(PROMPT)
    next(stream)
    stream.close()

    def fail(event: Any) -> None:
        raise LookupError("a hook's secret")

    service = Service(OCIModelDeployment(emulator.endpoint), hooks=(fail,))
    with pytest.raises(LookupError):
        service.client.complete(service.call(OpenAIChat(), {"messages": []}))
    closed, failed = records()

    assert ("abandoned", "abandoned", "LookupError") == (
        closed.mdstream_event,
        failed.mdstream_event,
        failed.mdstream_error,
    )
    assert "closed before its end" in closed.getMessage()
    assert "secret" not in failed.getMessage()


_SCRIPT = """
import json, logging, sys
from mdstream_core import OCIModelDeployment, OpenAIChat, Service
if "root" in sys.argv:
    logging.basicConfig(format="root %(message)s")
service = Service(OCIModelDeployment("http://127.0.0.1:1/ocid1.x"), trust_env=False)
try:
    service.client.complete(service.call(OpenAIChat(), {"messages": [], "model": "m"}))
except Exception as error:
    print(json.dumps([type(error).__name__, logging.getLogger("mdstream").level]))
"""


@pytest.mark.parametrize(
    ("value", "argument", "level", "written"),
    [
        ("", "", 0, []),
        ("Debug ", "", 10, [" DEBUG mdstream: oci-model-deployment m: attempt 1: POST http://127.0.0.1:1/ocid1.x"]),
        ("info", "root", 20, ["root oci-model-deployment m: failed: ConnectionFailed"]),
        ("verbose", "", 0, ["RuntimeWarning: MDSTREAM_LOG is no log level", "(hint: set it to one of debug, info, warning)"]),
    ],
)  # fmt: skip
def test_the_environment_variable(
    value: str, argument: str, level: int, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It enables a handler, once; without it nothing is written to stderr; a wrong value is a warning."""
    monkeypatch.setenv("MDSTREAM_LOG", value)
    run = subprocess.run([sys.executable, "-c", _SCRIPT, argument], capture_output=True, text=True, check=True)

    assert ["ConnectionFailed", level] == json.loads(run.stdout)
    assert (run.stderr == "") is (not written)
    assert [] == [text for text in written if run.stderr.count(text) != 1]
