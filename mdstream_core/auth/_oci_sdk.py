"""Other people's signers: objects of the `oci` SDK and of its kind. The only file that imports `oci`, and late.

They sign a `requests.PreparedRequest`; we hand them something that looks like one, without importing requests.
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

#: The SDK renews a token 60 s before its end, while it signs: we are first, where waiting is allowed.
_MARGIN = 70.0
_CONNECTION_ERRORS = (
    ("oci._vendor.requests.exceptions", "RequestException"),
    ("oci.exceptions", "RequestException"),
    ("oci.exceptions", "ConnectTimeout"),
    ("requests.exceptions", "RequestException"),
)
_SERVICE_ERRORS = (("oci.exceptions", "ServiceError"), ("oci.exceptions", "ClientError"))
_METHODS_WITH_BODY = ("post", "put", "patch")


class _Headers(dict[str, str]):
    """Header names in lower case, whatever case a signer writes or asks for."""

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
    """What signers touch of a `requests.PreparedRequest`."""

    method: str
    url: str
    headers: _Headers
    body: bytes = field(repr=False)

    @property
    def path_url(self) -> str:
        return request_target(self.url)


def _prepare_request(request: Request) -> _PreparedRequest:
    headers = _Headers(request.headers)
    if (
        request.content or request.method.lower() in _METHODS_WITH_BODY
    ):  # requests sets it before an auth object sees the request
        headers.setdefault("content-length", str(len(request.content)))
    return _PreparedRequest(request.method, request.url, headers, request.content)


class WrappedSigner(Signer):
    """Signs with a foreign object: an `oci` signer, or any callable that takes a prepared request.

    Args:
        inner: The object. Its `refresh_security_token()`, if it has one, is called when its token ages.
    """

    def __init__(self, inner: Any, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock=clock)
        self._inner = inner
        self._clock = clock

    def reset_after_fork(self) -> None:
        """Give the foreign object new locks too, and what fetches its token."""
        super().reset_after_fork()
        inner = getattr(self, "_inner", None)
        federation = getattr(inner, "federation_client", None)
        keys = getattr(federation, "session_key_supplier", None)
        _fork.replace_locks(inner, federation, keys)

    @property
    def region(self) -> str | None:
        region = getattr(self._inner, "region", None)
        return region if isinstance(region, str) else None

    def sign(self, request: Request) -> Request:
        prepared = _prepare_request(request)
        ask = self._inner if callable(self._inner) else self._inner.do_request_sign
        with _map_exceptions(self):
            answer = ask(prepared)
        signed = prepared if answer is None else answer
        return replace(request, url=signed.url, headers=dict(signed.headers))

    def needs_refresh(self) -> bool:
        end = jwt_expiry(_security_token(self._inner)) if self.can_refresh() else None
        return end is not None and end - self._clock() < _MARGIN

    def can_refresh(self) -> bool:
        return callable(getattr(self._inner, "refresh_security_token", None))

    def fetch_credential(self) -> None:
        if self.can_refresh():
            with _map_exceptions(self):
                self._inner.refresh_security_token()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {type(self._inner).__name__}>"


class SDKSigner(WrappedSigner):
    """A principal that the `oci` SDK fetches from the network: at the first `refresh`, never when it is built.

    Args:
        name: For repr and messages.
        build: Makes the SDK's signer; can be pickled.
    """

    #: Off OCI the SDK asks the instance's metadata service for about 90 s before it gives up.
    refresh_timeout = 120.0

    def __init__(self, name: str, build: Callable[[], Any], *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(None, clock=clock)
        if importlib.util.find_spec("oci") is None:
            raise MissingExtra("oci", "oci")
        self._name, self._build = name, build

    def reset_after_fork(self) -> None:
        """Build the principal anew in a forked process: the parent's is connected to the service that gives tokens."""
        super().reset_after_fork()
        self._inner = None

    def sign(self, request: Request) -> Request:
        if self._inner is None:  # a caller that did not ask `needs_refresh()`
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
    """A signer made by `oci.auth.signers.<factory>()`."""
    return SDKSigner(name, partial(_build_from_sdk, factory))


def delegation_signer(profile: Profile) -> SDKSigner:
    """An instance that acts for a user, as in Cloud Shell: `authentication_type`, `delegation_token_file`."""
    return SDKSigner("delegation", partial(_build_from_fields, profile))


def _build_from_sdk(factory: str) -> Any:
    from oci.auth import signers  # noqa: PLC0415

    return getattr(signers, factory)()


def _build_from_fields(profile: Profile) -> Any:
    from oci.util import get_signer_from_authentication_type  # noqa: PLC0415

    return get_signer_from_authentication_type(profile.fields())


def _security_token(inner: Any) -> str:
    """The security token that an SDK signer will use next; empty when it shows none."""
    federation = getattr(inner, "federation_client", None)  # its signer copies the token only when it signs
    token = getattr(getattr(federation, "security_token", None), "security_token", None)
    key_id = getattr(inner, "api_key", None)
    if not isinstance(token, str) and isinstance(key_id, str) and key_id.startswith(TOKEN_PREFIX):
        token = key_id.removeprefix(TOKEN_PREFIX)
    return token if isinstance(token, str) else ""


@contextmanager
def _map_exceptions(signer: Signer) -> Iterator[None]:
    """The wall between the SDK's exceptions and ours."""
    try:
        yield
    except MDStreamError:
        raise
    except _loaded_exceptions(_CONNECTION_ERRORS) as error:
        raise ConnectionFailed(f"{signer!r} did not reach the service that gives its token: {error}") from error
    except _loaded_exceptions(_SERVICE_ERRORS) as error:
        facts = {name: getattr(error, name, None) for name in ("status", "code", "request_id")}
        facts["status"] = error_status(facts["status"])
        kind = error_class_for_status(facts["status"]) if facts["status"] else AuthenticationError
        raise kind(f"{signer!r} was refused a token: {getattr(error, 'message', error)}", **facts) from error
    except (ConnectionError, TimeoutError) as error:
        raise ConnectionFailed(f"{signer!r} did not reach the service that gives its token: {error}") from error
    except (OSError, RuntimeError, *SHAPE_ERRORS) as error:
        raise AuthenticationError(f"{signer!r} failed: {type(error).__name__}: {error}") from error


def _loaded_exceptions(names: tuple[tuple[str, str], ...]) -> tuple[type[Exception], ...]:
    """Exception classes of modules that are loaded: what is not loaded cannot have been raised."""
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)
