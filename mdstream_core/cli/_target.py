"""An endpoint that is ready to be asked: what `chat`, `check` and `models` have in common."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mdstream_core.cli._credentials import Credentials, resolve_credentials
from mdstream_core.cli._endpoints import EndpointInfo, build_platform, parse_endpoint
from mdstream_core.cli._parser import Options, UsageError
from mdstream_core.cli._secrets import parse_headers
from mdstream_core.dialects import Dialect, ListDialect, dialect, embedding_dialect, oci_dialect_name
from mdstream_core.errors import (
    AuthenticationError,
    ConnectionFailed,
    InvalidRequest,
    MDStreamError,
    NotFound,
    PermissionDenied,
)
from mdstream_core.events import Event
from mdstream_core.hooks import Hook
from mdstream_core.http import Timeout
from mdstream_core.platforms import ModelArts, OCIModelDeployment, Platform
from mdstream_core.retry import Retry
from mdstream_core.service import Service

#: What is spoken, by platform: chats and vectors.
_CHAT_DIALECTS = {"sagemaker": "auto"}
_EMBEDDING_DIALECTS = {"sagemaker": "auto-embeddings", "oci-genai": "oci-embed-text"}

#: AQUA's containers call every model so.
_DEFAULT_MODELS = {"oci-model-deployment": "odsc-llm"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask, and as whom."""

    endpoint_info: EndpointInfo
    platform: Platform
    credentials: Credentials
    options: Options = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_parts(
        cls, endpoint_info: EndpointInfo, platform: Platform, credentials: Credentials, options: Options
    ) -> "Target":
        """Of parts that are known."""
        return cls(endpoint_info, platform, credentials, options, parse_headers(options))

    @classmethod
    def from_options(cls, options: Options) -> "Target":
        """What the command line says.

        Raises:
            Unusable: ENDPOINT or an option cannot be meant.
            MissingCredential: Nothing is here to sign with.
            MissingExtra: A package is missing.
        """
        endpoint_info = parse_endpoint(options.endpoint, options.platform)
        who = resolve_credentials(endpoint_info, options)
        return cls.from_parts(endpoint_info, build_platform(endpoint_info, options, who.region, who.url), who, options)

    def create_service(
        self,
        *,
        hooks: tuple[Hook, ...] = (),
        retries: int = 2,
        platform: Platform | None = None,
        timeout: Timeout | None = None,
    ) -> Service:
        """Asks there. Close it. A `--timeout` goes before `timeout`."""
        options = self.options
        timeout = Timeout(read=options.timeout) if options.timeout else timeout
        try:
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
            raise UsageError(str(error)) from None

    @property
    def model(self) -> str:
        """The model's name, if it is known without asking."""
        return (
            self.options.model
            or self.endpoint_info.fields.get("model")
            or _DEFAULT_MODELS.get(self.endpoint_info.platform, "")
        )

    @property
    def chat_dialect(self) -> Dialect:
        """What a chat is spoken in."""
        usual = _CHAT_DIALECTS.get(self.endpoint_info.platform, "openai-chat")
        if self.endpoint_info.platform == "oci-genai":
            usual = oci_dialect_name(self.model)
        try:
            return dialect(self.options.dialect or usual)
        except ValueError as error:
            raise UsageError(f"--{error}") from None

    @property
    def embedding_dialect(self) -> ListDialect:
        """What embeddings are asked in."""
        return embedding_dialect(_EMBEDDING_DIALECTS.get(self.endpoint_info.platform, "openai-embeddings"))


def list_models(target: Target) -> list[dict[str, Any]]:
    """The models that the server names.

    Raises:
        MDStreamError: It does not tell, or cannot be asked there.
    """
    where = target.platform
    if isinstance(where, OCIModelDeployment) and not where.path_suffix:
        where = OCIModelDeployment(f"{where.base_url}/predict/v1")  # a bare endpoint takes no GET
    if isinstance(where, ModelArts) and where.is_websocket:
        where = ModelArts(f"http{where.base_url.removeprefix('ws')}")  # and a WebSocket no other question
    service = target.create_service(retries=0, platform=where)
    try:
        response = service.client.complete(service.call(dialect("models"), {}, stream=False))
    finally:
        service.close()
    told = response.choices[0].provider_data["models"].get("data")
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def model_name(target: Target) -> str:
    """The model to ask: the one that was said, or the first that the server names; empty where it names none.

    Raises:
        AuthenticationError, PermissionDenied, ConnectionFailed: Nor would the server answer anything else.
    """
    if target.model or target.endpoint_info.platform == "sagemaker":
        return target.model
    try:
        return next((str(one["id"]) for one in list_models(target) if one.get("id")), "")
    except (AuthenticationError, PermissionDenied, ConnectionFailed):
        raise
    except MDStreamError:  # many a server without a list has one model only, and needs no name
        return ""


def redact_errors(events: Iterable[Event], options: Options, hint: str = "") -> Iterator[Event]:
    """Events; what an error among them says shows no secret, whatever a server repeats of what it was sent.

    Args:
        events: What the model says.
        options: The command line, which knows the secrets.
        hint: Added to the message where the request was rejected.
    """
    try:
        yield from events
    except MDStreamError as error:
        rejected = bool(hint) and isinstance(error, InvalidRequest | NotFound)
        error.args = (options.redact(f"{error} (hint: {hint})" if rejected else error),)
        raise
