"""`Emulator`: the services on a thread of its own; `serve`: the same on the caller's loop."""

import asyncio
import ipaddress
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from types import TracebackType
from typing import Any, Self

from mdstream_core.emulator import model as _brain
from mdstream_core.emulator._authentication import Authenticator, Keys, SessionTokenIssuer
from mdstream_core.emulator._listener import Listener, Step
from mdstream_core.emulator._oci_signatures import public_key
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._tls import server_context
from mdstream_core.emulator.model_server import BuiltInModelServer, ModelServer, ServerLimits, UpstreamModelServer
from mdstream_core.emulator.services.modelarts import SERVICE_ID, HuaweiAccount, ModelArtsService
from mdstream_core.emulator.services.oci_genai.service import COMPARTMENT, GenerativeAIService
from mdstream_core.emulator.services.oci_model_deployment import OCID, ModelDeploymentService
from mdstream_core.emulator.services.openai_compatible import OpenAICompatibleService
from mdstream_core.emulator.services.sagemaker import AWSKeys, SageMakerAddress, SageMakerService


@dataclass(frozen=True, slots=True)
class Address:
    """Where one service listens."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class ModelArtsAddress(Address):
    """Where ModelArts listens: a service, the base of MaaS, and IAM."""

    maas: str
    iam: str
    _service: ModelArtsService = field(repr=False)

    @property
    def websocket_endpoint(self) -> str:
        """The service for a WebSocket."""
        return self.endpoint.replace("http", "ws", 1)

    def expire_tokens(self) -> None:
        """Refuse every IAM token given out so far."""
        self._service.authenticator.expire_all()


@dataclass(frozen=True, slots=True)
class GenerativeAIAddress(Address):
    """Where OCI Generative AI listens, and the one compartment that it knows."""

    compartment_id: str = COMPARTMENT


def exposure(host: str) -> str | None:
    """What to say to somebody who listens on an address that other machines reach; `None` for loopback.

    >>> exposure("127.0.0.1"), exposure("localhost"), exposure("::1"), exposure("0.0.0.0") is None
    (None, None, None, False)
    """
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    if is_local:
        return None
    return (
        f"the emulator listens on {host}: every machine that reaches this address can use it. It is meant for tests, "
        "on loopback (127.0.0.1)"
    )


def _reachable(host: str) -> str:
    """The host as it stands in a URL: an address for all interfaces is no address to connect to."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  (looked up, not bound)
    return f"[{host}]" if ":" in host else host


class Emulator:
    """The services on loopback, for as long as the `with` block lasts.

    Args:
        model: What answers: a function from the OpenAI-shaped request to a text or an `Answer`.
        upstream: Base URL of an OpenAI-compatible server that answers instead of the brain.
        upstream_key: A bearer key for it.
        idle_limit: Seconds of silence after which its stream ends with `ServiceTimeout`.
        total_limit: Seconds after which its stream ends with `ModelResponseTimeExceeded`.
        flavour: Whose habits the container has: a key of `FLAVOURS`.
        models: The names it knows; empty accepts every name.
        context: Its context window in tokens.
        embedding_size: How long its embeddings are.
        max_batch_size: Texts that one request for embeddings or scores may have; by default 32 where TEI is asked, and
            any number elsewhere.
        content_type: Of its streams, instead of the flavour's own.
        verify_signatures: A public key in PEM for any key id, or a dictionary from key id to PEM.
        api_keys: Bearer keys that are let in (too).
        aws_keys: Access keys that SageMaker lets in: the secret, or an `AWSKey`; without it everybody.
        huawei: Whom ModelArts lets in; without it everybody.
        generative_ai_ending: How streams of OCI Generative AI end: `eof`, `done`, `hang`; `""` is each family's way.
        default_route: Where a bare endpoint leads without a `route` header; `auto` goes by the body.
        strict: Whether the streaming endpoint answers 409 where the container does not stream, as documented.
        delay: Seconds between two pieces of a stream.
        events_per_chunk: How many events one HTTP chunk carries.
        clock: The services' clock, in seconds since 1970: for `Date` headers, and where a signature's date is judged.
        tls: Serve https; `ca_file` is what clients have to trust.
        host: Where to listen. An address that other machines reach is warned of: nobody has to sign by default.
        keep_alive: Seconds in which a request has to be complete, on a new connection or after the last response.
        port: 0 takes any free one.
    """

    def __init__(
        self,
        *,
        model: _brain.ModelFunction = _brain.respond,
        upstream: str | None = None,
        upstream_key: str | None = None,
        idle_limit: float = 60.0,
        total_limit: float = 300.0,
        flavour: str = "vllm",
        models: Iterable[str] = (),
        context: int | None = None,
        embedding_size: int = 256,
        max_batch_size: int | None = None,
        content_type: str | None = None,
        verify_signatures: Keys | None = None,
        api_keys: Iterable[str] = (),
        aws_keys: AWSKeys | None = None,
        huawei: HuaweiAccount | None = None,
        generative_ai_ending: str = "",
        default_route: str = "/v1/chat/completions",
        strict: bool = True,
        delay: float = 0.0,
        events_per_chunk: int = 1,
        clock: Callable[[], float] = time,
        tls: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_alive: float = 120.0,
    ) -> None:
        if (warning := exposure(host)) is not None:
            warnings.warn(warning, RuntimeWarning, stacklevel=2)
        api_keys = frozenset(api_keys)
        limits = ServerLimits(tuple(models), context, embedding_size, max_batch_size)
        model_server: ModelServer = BuiltInModelServer(model, flavour, limits, content_type)
        if upstream is not None:
            model_server = UpstreamModelServer(upstream, upstream_key, idle_limit, total_limit)
        self._model_server = model_server
        self._tokens = SessionTokenIssuer()
        admit = Authenticator(verify_signatures, api_keys, self._tokens, clock).find_problem
        deployment = ModelDeploymentService(model_server, admit, default_route, strict=strict)
        generative = GenerativeAIService(model_server, admit, generative_ai_ending, any_model=upstream is not None)
        sagemaker = SageMakerService(model_server, model, limits, aws_keys, clock)
        plain = OpenAICompatibleService(model_server, api_keys)
        self._modelarts = ModelArtsService(model_server, huawei, clock)
        services = (deployment, generative, self._modelarts, sagemaker, plain)
        self._listener = Listener(
            services, delay=delay, events_per_chunk=events_per_chunk, clock=clock, idle=keep_alive
        )
        self._tls = tls
        self._host, self._port = host, port
        self._ca_file: Path | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    # its life

    def __enter__(self) -> Self:
        ready = threading.Event()
        failures: list[OSError] = []
        self._thread = threading.Thread(target=self._run_in_thread, args=(ready, failures), name="mdstream-emulator")
        self._thread.daemon = True
        self._thread.start()
        ready.wait()
        if failures:
            self._thread.join()
            raise failures[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()

    def _run_in_thread(self, ready: threading.Event, failures: list[OSError]) -> None:
        try:
            asyncio.run(self.run(lambda emulator: ready.set()))
        except OSError as failure:
            failures.append(failure)
        finally:
            ready.set()

    async def run(self, ready: Callable[["Emulator"], None] = lambda emulator: None) -> None:
        """Serve on this loop until cancelled; `ready` is called once the addresses are known."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        with tempfile.TemporaryDirectory(prefix="mdstream-") as folder:
            context = None
            if self._tls:
                context, self._ca_file = server_context(Path(folder))
            self._port = await self._listener.open(self._host, self._port, context)
            try:
                ready(self)
                await self._stop.wait()
            finally:
                await self._listener.close()
                await self._model_server.close()

    # where it is

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._tls else 'http'}://{_reachable(self._host)}:{self._port}"

    @property
    def endpoint(self) -> str:
        """The model deployment's bare endpoint, without `/predict`."""
        return f"{self.url}/{OCID}"

    @property
    def oci_model_deployment(self) -> Address:
        """The model deployment."""
        return Address(self.endpoint)

    @property
    def modelarts(self) -> ModelArtsAddress:
        """The real-time service, MaaS and IAM of Huawei Cloud."""
        return ModelArtsAddress(f"{self.url}/v1/infers/{SERVICE_ID}", f"{self.url}/maas/v1", self.url, self._modelarts)

    @property
    def oci_generative_ai(self) -> GenerativeAIAddress:
        """OCI Generative AI: its `endpoint` is the host, its `compartment_id` the one to ask with."""
        return GenerativeAIAddress(self.url)

    @property
    def sagemaker(self) -> SageMakerAddress:
        """Amazon SageMaker's runtime, with an endpoint for each image."""
        return SageMakerAddress(self.url)

    @property
    def openai_url(self) -> str:
        """The model server without a cloud before it, for OpenAI clients: ends with `/v1`."""
        return f"{self.url}/v1"

    @property
    def ca_file(self) -> str:
        """The certificate authority that clients have to trust; only with `tls=True`."""
        if self._ca_file is None:
            raise ValueError("there is no certificate authority: start the emulator with tls=True")
        return str(self._ca_file)

    # what it does

    def script(self, *steps: Step) -> None:
        """Queue what happens to the coming requests: a `Fault`, several in a tuple, or `None` for a healthy answer."""
        self._listener.script(steps)

    def always(self, step: Step) -> None:
        """What happens to every request for which nothing is queued."""
        self._listener.always(step)

    def reset(self) -> None:
        """Forget requests and script."""
        self._listener.reset()

    def issue_token(self, public_pem: str | bytes, seconds: float = 3600) -> str:
        """A session token for the holder of a private key; sign with the key id `ST$` + token."""
        return self._tokens.issue(public_key(public_pem), seconds)

    def expire_tokens(self) -> None:
        """Refuse every token issued so far."""
        self._tokens.expire_all()

    # what it saw

    @property
    def requests(self) -> list[RecordedRequest]:
        """What came in so far."""
        return self._listener.recorded_requests

    @property
    def last(self) -> RecordedRequest:
        """The newest request."""
        return self.requests[-1]

    @property
    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self._listener.connection_count


async def serve(port: int = 0, *, ready: Callable[[Emulator], None] = lambda emulator: None, **options: Any) -> None:
    """Serve until cancelled. `ready` is given the running `Emulator`, which knows its addresses."""
    await Emulator(port=port, **options).run(ready)
