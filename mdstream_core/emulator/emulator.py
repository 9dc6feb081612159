"""`Emulator`: the emulated services on a thread of their own; `serve`: the same on the caller's event loop."""

import asyncio
import ipaddress
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic, time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mdstream_core.emulator import model as built_in_model
from mdstream_core.emulator._addresses import Address, GenerativeAIAddress, ModelArtsAddress
from mdstream_core.emulator._ledger import RequestLedger
from mdstream_core.emulator._listener import Listener, Step
from mdstream_core.emulator._oci_authentication import Keys, OCIAuthenticator, SessionTokenIssuer
from mdstream_core.emulator._oci_signatures import load_public_key
from mdstream_core.emulator._rate_limits import RateEnforcer, RequestRateLimit
from mdstream_core.emulator._recorded_request import RecordedRequest
from mdstream_core.emulator._replay import create_replay
from mdstream_core.emulator._tls import server_context
from mdstream_core.emulator.model_server import (
    OPENAI,
    BuiltInModelServer,
    ModelServer,
    ServerLimits,
    UpstreamModelServer,
)
from mdstream_core.emulator.services.data_science import DataScienceAddress, DataScienceService
from mdstream_core.emulator.services.modelarts import SERVICE_ID, HuaweiAccount, ModelArtsService
from mdstream_core.emulator.services.oci_genai import GenerativeAIService, GuardrailRules
from mdstream_core.emulator.services.oci_model_deployment import OCID, ModelDeploymentService
from mdstream_core.emulator.services.openai_compatible import OpenAICompatibleService
from mdstream_core.emulator.services.sagemaker import AWSKeys, SageMakerAddress, SageMakerService

if TYPE_CHECKING:
    from mdstream_core.recording import Recording


def exposure(host: str) -> str | None:
    """Build the warning for an address that other machines can reach; `None` for loopback.

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
        f"the emulator listens on {host}: every machine that reaches this address can use it (hint: the emulator is "
        "meant for tests; listen on loopback, 127.0.0.1)"
    )


def _reachable(host: str) -> str:
    """Format the host for a URL; the address of all interfaces becomes loopback, which clients can connect to."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  (looked up, not bound)
    return f"[{host}]" if ":" in host else host


def _create_model_servers(
    model: built_in_model.ModelFunction, flavour: str, limits: ServerLimits, content_type: str | None
) -> tuple[ModelServer, ModelServer]:
    """Create the model server, and that of OCI Generative AI's `/v1/responses`, which has OpenAI's format."""
    return (
        BuiltInModelServer(model, flavour, limits, content_type),
        BuiltInModelServer(model, OPENAI, limits, content_type),
    )


class Emulator:
    """The services on loopback, running for as long as the `with` block lasts.

    All parameters are optional and keywords. `Emulator(model=lambda request: "Hello.", delay=0.05)`

    Args:
        model: Produces the output: a function from the OpenAI-shaped request (a dictionary) to a text or a
            `ModelOutput`; it rejects a request by raising `ValueError`. Default: the built-in rule-based model.
        upstream: Base URL of an OpenAI-compatible server that responds instead of the model, e.g.
            `http://127.0.0.1:11434/v1`.
        upstream_key: API key for the upstream, sent as a bearer token.
        idle_limit: Seconds without bytes from the upstream after which a stream ends with `ServiceTimeout`.
        total_limit: Seconds after which a stream from the upstream ends with `ModelResponseTimeExceeded`.
        flavour: The model server to imitate: a key of `FLAVOURS` (`vllm`, `sglang`, `tgi`, `llamacpp`, …).
        models: Names of the models that exist; empty accepts every name.
        context: Context window in tokens; longer prompts are rejected. Default: no limit.
        embedding_size: Dimensions of the embeddings.
        max_batch_size: Texts that one request for embeddings or scores may have. Default: 32 for the endpoints that
            imitate TEI (Text Embeddings Inference), no limit for the others.
        content_type: `content-type` of streams, instead of the flavour's.
        verify_signatures: Verify OCI request signatures: a public key in PEM for any key id, or a dictionary from key
            id to PEM. Default: requests without credentials are accepted.
        api_keys: Bearer keys that both OCI services and the OpenAI-compatible server accept, beside signatures; with
            any key, requests without credentials are rejected.
        aws_keys: Access keys that SageMaker accepts: `{access_key_id: secret}` or `{access_key_id: AWSKey(…)}`.
            Default: requests without credentials are accepted.
        huawei: Credentials that ModelArts accepts, a `HuaweiAccount`. Default: requests without credentials are
            accepted.
        oci_genai_ending: How streams of OCI Generative AI end: `eof` (the body ends), `done` (`[DONE]`), `hang`
            (the connection stays open); `""` is `done` for Llama models and `eof` for the others.
        guardrails: What `applyGuardrails` of OCI Generative AI finds, a `GuardrailRules`. Default: its defaults.
        default_route: Route of the model server for a request to the bare endpoint of an OCI model deployment without
            a `route` header; `auto` infers it from the body.
        strict: Return 409, as documented, where a streaming endpoint of an OCI model deployment is called and the model
            server does not stream.
        delay: Seconds between two events of a stream.
        events_per_chunk: Number of events in each HTTP chunk.
        rate_limits: Rates that the services enforce, `RequestRateLimit`s; a request that exceeds one of them gets the
            service's own throttling error. Default: no limit.
        clock: The services' clock, in seconds since 1970: for `Date` headers and for the dates of signatures.
        monotonic_clock: The clock of the rate limits and of the ledger, in seconds; it must never go back.
        replay: Recording to play back, a path or an `mdstream_core.recording.Recording`: each request gets the next
            recorded exchange of its method and path instead of a response of the services. `reset()` starts again.
        replay_timing: Repeat the recorded pauses too.
        tls: Serve HTTPS, with a certificate for localhost whose authority is in `ca_file`.
        host: Address to listen on. An address that other machines can reach causes a `RuntimeWarning`, because requests
            without credentials are accepted by default.
        port: Port to listen on; 0 takes any free port.
        keep_alive: Seconds in which a request has to be complete, counted from the start of the connection or the end
            of the last response; then the connection is closed.

    Raises:
        TypeError: A rate limit is no `RequestRateLimit`.
        ValueError: The flavour, the ending or a key is invalid, or the file is no recording (`RecordingError`).
        OSError: The recording cannot be read.
    """

    _loop: asyncio.AbstractEventLoop
    _stop: asyncio.Event

    _ca_file: Path | None = None
    _thread: threading.Thread | None = None

    def __init__(
        self,
        *,
        model: built_in_model.ModelFunction = built_in_model.respond,
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
        oci_genai_ending: str = "",
        guardrails: GuardrailRules | None = None,
        default_route: str = "/v1/chat/completions",
        strict: bool = True,
        delay: float = 0.0,
        events_per_chunk: int = 1,
        rate_limits: Iterable[RequestRateLimit] = (),
        clock: Callable[[], float] = time,
        monotonic_clock: Callable[[], float] = monotonic,
        replay: "str | Path | Recording | None" = None,
        replay_timing: bool = False,
        tls: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_alive: float = 120.0,
    ) -> None:
        if (warning := exposure(host)) is not None:
            warnings.warn(warning, RuntimeWarning, stacklevel=2)
        api_keys = frozenset(api_keys)
        limits = ServerLimits(tuple(models), context, embedding_size, max_batch_size)
        self._model_server, responses_server = _create_model_servers(model, flavour, limits, content_type)
        if upstream is not None:
            self._model_server = responses_server = UpstreamModelServer(upstream, upstream_key, idle_limit, total_limit)
        model_server = self._model_server
        self._tokens = SessionTokenIssuer()
        check_oci = OCIAuthenticator(verify_signatures, api_keys, self._tokens, clock).find_problem
        deployment = ModelDeploymentService(model_server, check_oci, default_route, strict=strict)
        generative_ai = GenerativeAIService(
            model_server, check_oci, oci_genai_ending, responses_server, any_model=bool(upstream), guardrails=guardrails
        )
        self._sagemaker = SageMakerService(model_server, model, limits, aws_keys, clock)
        openai_compatible = OpenAICompatibleService(model_server, api_keys)
        self._modelarts = ModelArtsService(model_server, huawei, clock)
        self._data_science = DataScienceService(limits.models, check_oci, "https" if tls else "http")
        services = (deployment, self._data_science, generative_ai, self._modelarts, self._sagemaker, openai_compatible)
        self._rate_enforcer = RateEnforcer(rate_limits, monotonic_clock)
        options: dict[str, Any] = {"delay": delay, "events_per_chunk": events_per_chunk, "clock": clock}
        player = create_replay(replay, timing=replay_timing)
        self._listener = Listener(services, self._rate_enforcer, replay=player, idle=keep_alive, **options)
        self._tls, self._host, self._port = tls, host, port

    # Lifecycle

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
        """Serve on the running event loop until cancelled.

        Args:
            ready: Called with the emulator as soon as it listens and its addresses are known.
        """
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

    # Addresses

    @property
    def url(self) -> str:
        """Base URL of all services: scheme, host and port, e.g. `http://127.0.0.1:8080`."""
        return f"{'https' if self._tls else 'http'}://{_reachable(self._host)}:{self._port}"

    @property
    def endpoint(self) -> str:
        """URL of the OCI model deployment, without `/predict`."""
        return f"{self.url}/{OCID}"

    @property
    def oci_model_deployment(self) -> Address:
        """Address of the OCI model deployment."""
        return Address(self.endpoint)

    @property
    def data_science(self) -> DataScienceAddress:
        """Address of the control plane of OCI Data Science, which lists the model deployment."""
        return DataScienceAddress(self.url, self._data_science.resources)

    @property
    def modelarts(self) -> ModelArtsAddress:
        """Addresses of Huawei Cloud's ModelArts: the real-time service, MaaS and IAM."""
        return ModelArtsAddress(f"{self.url}/v1/infers/{SERVICE_ID}", f"{self.url}/maas/v1", self.url, self._modelarts)

    @property
    def oci_genai(self) -> GenerativeAIAddress:
        """Address of OCI Generative AI: the host, and the compartment that requests have to name."""
        return GenerativeAIAddress(self.url)

    @property
    def sagemaker(self) -> SageMakerAddress:
        """Address of the Amazon SageMaker runtime, which has an endpoint for each kind of container."""
        return SageMakerAddress(self.url, objects=self._sagemaker.objects)

    @property
    def openai_url(self) -> str:
        """Base URL of the model server itself, for OpenAI clients: `http://127.0.0.1:PORT/v1`."""
        return f"{self.url}/v1"

    @property
    def ca_file(self) -> str:
        """Path of the certificate authority's PEM file, for clients to trust; only with `tls=True`.

        Raises:
            ValueError: The emulator was not started, or not with `tls=True`.
        """
        if self._ca_file is None:
            raise ValueError("there is no certificate authority (hint: start the emulator with tls=True)")
        return str(self._ca_file)

    # Faults and tokens

    def script(self, *steps: Step) -> None:
        """Queue the steps for the next requests, one step for each request.

        Args:
            steps: A `Fault`, a tuple of several that apply one after the other, or `None` for no fault. Example:
                `emulator.script(Fault("trailer", after=3), None)`.
        """
        self._listener.script(steps)

    def always(self, step: Step) -> None:
        """Set the step for every request for which none is queued: a `Fault`, a tuple of several, or `None`."""
        self._listener.always(step)

    def reset(self) -> None:
        """Clear requests, queued steps, default step, ledger and S3; restore the constructor's rate limits."""
        self._listener.reset()
        self._sagemaker.objects.clear()
        self._data_science.reset()

    def replay(self, recording: "str | Path | Recording") -> None:
        """Play back another recording from now on; only with the parameter `replay`.

        Raises:
            ValueError: The file is no recording, or the emulator does not play one back.
        """
        self._listener.replay(recording)

    def issue_token(self, public_pem: str | bytes, seconds: float = 3600) -> str:
        """Issue an OCI session token for the holder of a private key; sign with the key id `ST$` + token.

        Args:
            public_pem: The public key in PEM.
            seconds: Lifetime of the token in seconds.
        """
        return self._tokens.issue(load_public_key(public_pem), seconds)

    def expire_tokens(self) -> None:
        """Reject every session token that was issued so far."""
        self._tokens.expire_all()

    # Rate limits

    @property
    def rate_limits(self) -> tuple[RequestRateLimit, ...]:
        """The rates that the services enforce; assign a list to change them, also while requests arrive.

        New limits count from zero: what was accepted before does not count towards them.
        """
        return self._rate_enforcer.limits

    @rate_limits.setter
    def rate_limits(self, limits: Iterable[RequestRateLimit]) -> None:
        self._rate_enforcer.limits = limits

    @property
    def ledger(self) -> RequestLedger:
        """The requests that were counted, with their times and clients; without rate limits all are accepted."""
        return self._rate_enforcer.ledger

    # Recorded requests

    @property
    def requests(self) -> list[RecordedRequest]:
        """The recorded requests, oldest first: the newest 10,000, and at most 64 MiB of them."""
        return self._listener.recorded_requests

    @property
    def last(self) -> RecordedRequest:
        """The newest recorded request; `IndexError` if there is none."""
        return self.requests[-1]

    @property
    def connections(self) -> int:
        """Number of TCP connections accepted so far."""
        return self._listener.connection_count


async def serve(port: int = 0, *, ready: Callable[[Emulator], None] = lambda emulator: None, **options: Any) -> None:
    """Serve until cancelled, on the caller's event loop.

    Args:
        port: Port to listen on; 0 takes any free port.
        ready: Called with the running `Emulator` as soon as its addresses are known.
        options: The other parameters of `Emulator`.
    """
    await Emulator(port=port, **options).run(ready)
