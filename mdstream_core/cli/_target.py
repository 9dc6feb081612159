"""The endpoint of a command with its platform and credentials, as `chat`, `check` and `models` use it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from urllib.request import getproxies

from mdstream_core.cli._credentials import Credentials, resolve_credentials
from mdstream_core.cli._endpoints import EndpointInfo, build_platform, parse_endpoint
from mdstream_core.cli._options import Options, UsageError, name_options
from mdstream_core.cli._platform_names import OCI_GENAI, OCI_MODEL_DEPLOYMENT, SAGEMAKER
from mdstream_core.cli._secrets import parse_headers
from mdstream_core.dialects import (
    Dialect,
    ListDialect,
    dialect,
    embedding_dialect,
    generation_dialect,
    oci_dialect_name,
)
from mdstream_core.errors import (
    AuthenticationError,
    ConnectionFailed,
    InvalidRequest,
    MDStreamError,
    MissingExtra,
    NotFound,
    PermissionDenied,
    extend_message,
)
from mdstream_core.events import Event
from mdstream_core.hooks import Hook
from mdstream_core.http import Timeout, check_proxy
from mdstream_core.platforms import ModelArts, OCIModelDeployment, Platform
from mdstream_core.retry import Retry
from mdstream_core.service import Service

#: Default dialects by platform.
_CHAT_DIALECTS = {SAGEMAKER: "auto"}
_EMBEDDING_DIALECTS = {SAGEMAKER: "auto-embeddings", OCI_GENAI: "oci-embed-text"}

#: AQUA's containers serve every model under this name.
_DEFAULT_MODELS = {OCI_MODEL_DEPLOYMENT: "odsc-llm"}


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint that requests can be sent to.

    Attributes:
        endpoint_info: The parsed ENDPOINT.
        platform: The platform, with the endpoint's address.
        credentials: The signer and where it was found.
        options: The command line.
        headers: Additional request headers.
    """

    endpoint_info: EndpointInfo
    platform: Platform
    credentials: Credentials
    options: Options = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_parts(
        cls, endpoint_info: EndpointInfo, platform: Platform, credentials: Credentials, options: Options
    ) -> "Target":
        """Create a target from a known platform and credentials. Reads `--header`."""
        return cls(endpoint_info, platform, credentials, options, parse_headers(options))

    @classmethod
    def from_options(cls, options: Options) -> "Target":
        """Create the target of a command line.

        Raises:
            UsageError: ENDPOINT or an option is invalid.
            MissingCredential: No credential was found.
            MissingExtra: A Python package is missing.
        """
        endpoint_info = parse_endpoint(options.endpoint, options.platform)
        credentials = resolve_credentials(endpoint_info, options)
        platform = build_platform(endpoint_info, options, credentials.region, credentials.url)
        return cls.from_parts(endpoint_info, platform, credentials, options)

    def create_service(
        self,
        *,
        hooks: tuple[Hook, ...] = (),
        retries: int = 2,
        platform: Platform | None = None,
        timeout: Timeout | None = None,
    ) -> Service:
        """Create a service, which the caller closes.

        Args:
            hooks: Hooks of every call.
            retries: Maximum number of retries.
            platform: Overrides the target's platform.
            timeout: Timeouts, unless `--timeout` is set.
        """
        options = self.options
        timeout = Timeout(read=options.timeout) if options.timeout else timeout
        try:
            _check_proxies()
            return Service(
                platform or self.platform,
                auth=self.credentials.auth,
                headers=self.headers,
                timeout=timeout,
                retry=Retry(retries),
                hooks=hooks,
                verify=options.ca_file or True,
            )
        except ValueError as error:
            raise UsageError(name_options(str(error))) from None

    @property
    def model(self) -> str:
        """The model's name, or an empty text if only the server knows it."""
        return (
            self.options.model
            or self.endpoint_info.fields.get("model")
            or _DEFAULT_MODELS.get(self.endpoint_info.platform, "")
        )

    @property
    def chat_params(self) -> dict[str, Any]:
        """Parameters of every chat: no response is stored, because the messages have the whole conversation."""
        return {"store": False} if self.chat_dialect.name == "openai-responses" else {}

    @property
    def chat_dialect(self) -> Dialect:
        """The dialect of chat requests."""
        default = _CHAT_DIALECTS.get(self.endpoint_info.platform, "openai-chat")
        if self.endpoint_info.platform == OCI_GENAI:
            default = oci_dialect_name(self.model)
        try:
            found = generation_dialect(self.options.dialect or default)
        except ValueError as error:
            raise UsageError(f"--{error}") from None
        try:
            self.platform.wrap_payload(found.route, {"model": self.model or "any"})
        except ValueError as error:
            raise UsageError(f"--dialect {found.name}: {error}") from None
        return found

    @property
    def embedding_dialect(self) -> ListDialect:
        """The dialect of embedding requests."""
        return embedding_dialect(_EMBEDDING_DIALECTS.get(self.endpoint_info.platform, "openai-embeddings"))


def _check_proxies() -> None:
    """Check the proxies of the environment, before the first request creates the HTTP client."""
    for scheme, url in getproxies().items():
        if scheme in {"http", "https", "all"}:
            check_proxy(f"{scheme.upper()}_PROXY", url if "://" in url else f"http://{url}")
            if url.startswith("socks") and find_spec("socksio") is None:
                raise MissingExtra("socksio")


def list_models(target: Target) -> list[dict[str, Any]]:
    """List the models that the server reports.

    Raises:
        MDStreamError: The server has no list, or rejected the request.
    """
    platform = target.platform
    if isinstance(platform, OCIModelDeployment) and not platform.path_suffix:
        platform = OCIModelDeployment(f"{platform.base_url}/predict/v1")  # a bare endpoint has no GET
    if isinstance(platform, ModelArts) and platform.is_websocket:
        platform = ModelArts(f"http{platform.base_url.removeprefix('ws')}")  # the list is served over HTTP only
    service = target.create_service(retries=0, platform=platform)
    try:
        response = service.client.complete(service.call(dialect("models"), {}, stream=False))
    finally:
        service.close()
    entries = response.choices[0].provider_data["models"].get("data")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def model_name(target: Target) -> str:
    """Return `--model`, the platform's default, or the first model that the server lists; empty if there is none.

    Raises:
        AuthenticationError, PermissionDenied, ConnectionFailed: Any other request would fail in the same way.
    """
    if target.model or target.endpoint_info.platform == SAGEMAKER:
        return target.model
    try:
        return next((str(entry["id"]) for entry in list_models(target) if entry.get("id")), "")
    except (AuthenticationError, PermissionDenied, ConnectionFailed):
        raise
    except MDStreamError:  # many servers without a list have one model and need no name
        return ""


def redact_errors(events: Iterable[Event], options: Options, hint: str = "") -> Iterator[Event]:
    """Yield the events, and redact secrets from the message of an error: servers repeat what they were sent.

    Args:
        events: Events of a stream.
        options: The command line, which holds the secrets.
        hint: Hint that is added if the request was rejected.
    """
    try:
        yield from events
    except MDStreamError as error:
        rejected = bool(hint) and isinstance(error, InvalidRequest | NotFound)
        message = name_options(str(error))
        error.args = (options.redact(extend_message(message, hint=hint) if rejected else message),)
        raise
