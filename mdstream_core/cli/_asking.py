"""An endpoint that is ready to be asked: what `chat`, `check` and `models` have in common."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mdstream_core.cli._parser import Options, Unusable
from mdstream_core.cli._places import Place, platform, read
from mdstream_core.cli._secrets import headers
from mdstream_core.cli._signing import Signing, signing
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
from mdstream_core.http import Timeout
from mdstream_core.platforms import ModelArts, OCIModelDeployment, Platform
from mdstream_core.retry import Retry
from mdstream_core.service import Service
from mdstream_core.tracing import Hook

#: What is spoken, by platform: chats and vectors.
_CHATS = {"sagemaker": "auto"}
_VECTORS = {"sagemaker": "auto-embeddings", "oci-genai": "oci-embed-text"}

#: AQUA's containers call every model so.
_USUAL = {"oci-model-deployment": "odsc-llm"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask, and as whom."""

    place: Place
    platform: Platform
    signing: Signing
    options: Options = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def made(cls, place: Place, where: Platform, who: Signing, options: Options) -> "Target":
        """Of parts that are known."""
        return cls(place, where, who, options, headers(options))

    @classmethod
    def of(cls, options: Options) -> "Target":
        """What the command line says.

        Raises:
            Unusable: ENDPOINT or an option cannot be meant.
            MissingCredential: Nothing is here to sign with.
            MissingExtra: A package is missing.
        """
        place = read(options.endpoint, options.platform)
        who = signing(place, options)
        return cls.made(place, platform(place, options, who.region, who.url), who, options)

    def service(
        self,
        *,
        hooks: tuple[Hook, ...] = (),
        retries: int = 2,
        on: Platform | None = None,
        timeout: Timeout | None = None,
    ) -> Service:
        """Asks there. Close it. A `--timeout` goes before `timeout`."""
        options = self.options
        timeout = Timeout(read=options.timeout) if options.timeout else timeout
        try:
            return Service(
                on or self.platform,
                auth=self.signing.auth,
                headers=self.headers,
                timeout=timeout,
                retry=Retry(retries),
                hooks=hooks,
                verify=options.ca_file or True,
            )
        except ValueError as error:
            raise Unusable(str(error)) from None

    @property
    def model(self) -> str:
        """The model's name, if it is known without asking."""
        return self.options.model or self.place.fields.get("model") or _USUAL.get(self.place.platform, "")

    @property
    def chats(self) -> Dialect:
        """What a chat is spoken in."""
        usual = _CHATS.get(self.place.platform, "openai-chat")
        if self.place.platform == "oci-genai":
            usual = oci_dialect_name(self.model)
        try:
            return dialect(self.options.dialect or usual)
        except ValueError as error:
            raise Unusable(f"--{error}") from None

    @property
    def vectors(self) -> ListDialect:
        """What embeddings are asked in."""
        return embedding_dialect(_VECTORS.get(self.place.platform, "openai-embeddings"))


def served(target: Target) -> list[dict[str, Any]]:
    """The models that the server names.

    Raises:
        MDStreamError: It does not tell, or cannot be asked there.
    """
    where = target.platform
    if isinstance(where, OCIModelDeployment) and not where.suffix:
        where = OCIModelDeployment(f"{where.base}/predict/v1")  # a bare endpoint takes no GET
    if isinstance(where, ModelArts) and where.is_websocket:
        where = ModelArts(f"http{where.base.removeprefix('ws')}")  # and a WebSocket no other question
    service = target.service(retries=0, on=where)
    try:
        reply = service.client.complete(service.call(dialect("models"), {}, stream=False))
    finally:
        service.close()
    told = reply.choices[0].extras["models"].get("data")
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def model_name(target: Target) -> str:
    """The model to ask: the one that was said, or the first that the server names; empty where it names none.

    Raises:
        AuthenticationError, PermissionDenied, ConnectionFailed: Nor would the server answer anything else.
    """
    if target.model or target.place.platform == "sagemaker":
        return target.model
    try:
        return next((str(one["id"]) for one in served(target) if one.get("id")), "")
    except (AuthenticationError, PermissionDenied, ConnectionFailed):
        raise
    except MDStreamError:  # many a server without a list has one model only, and needs no name
        return ""


def veiled(events: Iterable[Event], options: Options, hint: str = "") -> Iterator[Event]:
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
        error.args = (options.veil(f"{error} (hint: {hint})" if rejected else error),)
        raise
