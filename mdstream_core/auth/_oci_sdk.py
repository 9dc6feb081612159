"""Adapters for signers of the `oci` SDK and objects with their interface.

These sign a `requests.PreparedRequest`; the adapters pass an object with the same attributes, without `requests`.
"""

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mdstream_core import _fork
from mdstream_core.auth._oci_keys import TOKEN_PREFIX, jwt_expiry
from mdstream_core.auth._oci_signer import request_target
from mdstream_core.auth._oci_sources import Profile
from mdstream_core.auth._signer import Signer
from mdstream_core.errors import (
    SHAPE_ERRORS,
    AuthenticationError,
    ConnectionFailed,
    MDStreamError,
    MissingExtra,
    error_class_for_status,
    error_status,
)
from mdstream_core.http import Request

#: Seconds before its expiry that a token is renewed. The SDK renews it at 60 s while it signs, which would block.
_MARGIN = 70.0
_NETWORK_HINT = "(hint: this works inside OCI only; elsewhere choose another auth_type)"
_POLICY_HINT = "(hint: check the policies of this principal, and this machine's clock)"

_CONNECTION_ERRORS = (
    ("oci._vendor.requests.exceptions", "RequestException"),
    ("oci.exceptions", "RequestException"),
    ("oci.exceptions", "ConnectTimeout"),
    ("requests.exceptions", "RequestException"),
)
_SERVICE_ERRORS = (("oci.exceptions", "ServiceError"), ("oci.exceptions", "ClientError"))
_METHODS_WITH_BODY = ("post", "put", "patch")


class _Headers(dict[str, str]):
    """Case-insensitive headers with names in lower case."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.update(headers)

    def __setitem__(self, name: str, value: str | bytes) -> None:
        super().__setitem__(name.lower(), value.decode("latin-1") if isinstance(value, bytes) else str(value))

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def pop(self, name: str, *default: Any) -> Any:
        return super().pop(name.lower(), *default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *others: Any, **more: str) -> None:
        for name, value in dict(*others, **more).items():
            self[name] = value


@dataclass(slots=True)
class _PreparedRequest:
    """The attributes of a `requests.PreparedRequest` that signers use."""

    method: str
    url: str
    headers: _Headers
    body: bytes = field(repr=False)

    @property
    def path_url(self) -> str:
        return request_target(self.url)


def _prepare_request(request: Request) -> _PreparedRequest:
    headers = _Headers(request.headers)
    # requests sets the header before it calls an auth object.
    if request.content or request.method.lower() in _METHODS_WITH_BODY:
        headers.setdefault("content-length", str(len(request.content)))
    return _PreparedRequest(request.method, request.url, headers, request.content)


class WrappedSigner(Signer):
    """Signs with a signer of the `oci` SDK, or any callable that signs a prepared request.

    Args:
        inner: The object: a callable that takes a `requests.PreparedRequest`, or an object with `do_request_sign`. Its
            `refresh_security_token()`, if it has one, is called before its token expires.
        clock: Returns the time in seconds since 1970. Default: `time.time`.

    Example:
        >>> WrappedSigner(lambda prepared: prepared.headers.update(authorization="secret"))
        <WrappedSigner function>
    """

    def __init__(self, inner: Any, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock=clock)
        self._inner = inner
        self._clock = clock

    def reset_after_fork(self) -> None:
        """Replace also the locks of the wrapped object, and of the objects that fetch its token."""
        super().reset_after_fork()
        inner = getattr(self, "_inner", None)
        federation = getattr(inner, "federation_client", None)
        keys = getattr(federation, "session_key_supplier", None)
        _fork.replace_locks(inner, federation, keys)

    @property
    def region(self) -> str | None:
        """The region of the wrapped signer, such as `us-chicago-1`; `None` if it has none."""
        region = getattr(self._inner, "region", None)
        return region if isinstance(region, str) else None

    def sign(self, request: Request) -> Request:
        prepared = _prepare_request(request)
        sign = self._inner if callable(self._inner) else self._inner.do_request_sign
        with _map_exceptions(self):
            result = sign(prepared)
        signed = prepared if result is None else result
        return replace(request, url=signed.url, headers=dict(signed.headers))

    @property
    def expires_in(self) -> float | None:
        expires = jwt_expiry(_security_token(self._inner)) if self.can_refresh() else None
        return None if expires is None else expires - self._clock()

    def needs_refresh(self) -> bool:
        expires_in = self.expires_in
        return expires_in is not None and expires_in < _MARGIN

    def can_refresh(self) -> bool:
        return callable(getattr(self._inner, "refresh_security_token", None))

    def fetch_credential(self) -> None:
        if self.can_refresh():
            with _map_exceptions(self):
                self._inner.refresh_security_token()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {type(self._inner).__name__}>"


class SDKSigner(WrappedSigner):
    """Signs with a principal whose token the `oci` SDK fetches at the first `refresh`, not in the constructor.

    Args:
        name: Name of the principal in reprs and messages, such as `instance principal`.
        build: Creates the SDK's signer; must be picklable for a picklable `SDKSigner`.
        clock: Returns the time in seconds since 1970. Default: `time.time`.

    Raises:
        MissingExtra: `oci` is not installed.
    """

    #: Outside OCI the SDK waits about 90 s for the instance's metadata service before it fails.
    refresh_timeout = 120.0

    def __init__(self, name: str, build: Callable[[], Any], *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(None, clock=clock)
        if importlib.util.find_spec("oci") is None:
            raise MissingExtra("oci", "oci")
        self._name, self._build = name, build

    def reset_after_fork(self) -> None:
        """Create the principal again in the child process: the parent's has connections to the token service."""
        super().reset_after_fork()
        self._inner = None

    def sign(self, request: Request) -> Request:
        if self._inner is None:  # the caller did not check `needs_refresh()`
            self.refresh(self.generation)
        return super().sign(request)

    def needs_refresh(self) -> bool:
        return self._inner is None or super().needs_refresh()

    def can_refresh(self) -> bool:
        return self._inner is None or super().can_refresh()

    def fetch_credential(self) -> None:
        if self._inner is not None:
            super().fetch_credential()
            return
        with _map_exceptions(self):
            self._inner = self._build()

    @property
    def credential_source(self) -> str:
        return f"{self._name}, through the oci SDK"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._name, self._build)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"


def build_sdk_signer(name: str, factory: str) -> SDKSigner:
    """Create a signer that calls `oci.auth.signers.<factory>()` at its first refresh."""
    return SDKSigner(name, partial(_build_from_sdk, factory))


def delegation_signer(profile: Profile) -> SDKSigner:
    """Create a signer for an instance that acts for a user, as in Cloud Shell.

    Args:
        profile: Has `authentication_type` and `delegation_token_file`.
    """
    return SDKSigner("delegation", partial(_build_from_fields, profile))


def _build_from_sdk(factory: str) -> Any:
    from oci.auth import signers  # noqa: PLC0415

    return getattr(signers, factory)()


def _build_from_fields(profile: Profile) -> Any:
    from oci.util import get_signer_from_authentication_type  # noqa: PLC0415

    return get_signer_from_authentication_type(profile.fields())


def _security_token(inner: Any) -> str:
    """Return the security token that an SDK signer will use next; empty if it has none."""
    federation = getattr(inner, "federation_client", None)  # the signer copies its token only when it signs
    token = getattr(getattr(federation, "security_token", None), "security_token", None)
    key_id = getattr(inner, "api_key", None)
    if not isinstance(token, str) and isinstance(key_id, str) and key_id.startswith(TOKEN_PREFIX):
        token = key_id.removeprefix(TOKEN_PREFIX)
    return token if isinstance(token, str) else ""


@contextmanager
def _map_exceptions(signer: Signer) -> Iterator[None]:
    """Map exceptions of the `oci` SDK to mdstream errors."""
    try:
        yield
    except MDStreamError:
        raise
    except _loaded_exceptions(_CONNECTION_ERRORS) as error:
        raise ConnectionFailed(f"{signer!r} could not connect to the token service: {error} {_NETWORK_HINT}") from error
    except _loaded_exceptions(_SERVICE_ERRORS) as error:
        details = {name: getattr(error, name, None) for name in ("status", "code", "request_id")}
        details["status"] = error_status(details["status"])
        error_class = error_class_for_status(details["status"]) if details["status"] else AuthenticationError
        message = f"{signer!r} received no token: {getattr(error, 'message', error)} {_POLICY_HINT}"
        raise error_class(message, **details) from error
    except (ConnectionError, TimeoutError) as error:
        raise ConnectionFailed(f"{signer!r} could not connect to the token service: {error} {_NETWORK_HINT}") from error
    except (OSError, RuntimeError, *SHAPE_ERRORS) as error:
        raise AuthenticationError(f"{signer!r} failed: {type(error).__name__}: {error}") from error


def _loaded_exceptions(names: tuple[tuple[str, str], ...]) -> tuple[type[Exception], ...]:
    """The exception classes whose modules are loaded: no others can have been raised."""
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)
