"""TLS contexts. All clients with the defaults share one, which is created for the first secure connection."""

import os
import ssl
from functools import cache
from pathlib import Path
from types import ModuleType

from mdstream_core.transport._http_library import HTTPLibrary
from mdstream_core.transport._route import ContextFactory

Cert = str | tuple[str, str] | tuple[str, str, str]


def create_context_factory(
    library: ModuleType, verify: bool | str | ssl.SSLContext, cert: Cert | None, *, trust_env: bool
) -> ContextFactory:
    """Return a factory of TLS contexts; `verify` as in httpx, or the path of a file or directory of CAs."""
    if isinstance(verify, ssl.SSLContext):
        return lambda: _http11_only(verify)
    if cert is None and verify is True:
        names = ("SSL_CERT_FILE", "SSL_CERT_DIR") if trust_env else ()
        return lambda: _default_context(library, trust_env, *(os.environ.get(name) for name in names))
    return cache(lambda: _http11_only(_create_context(library, verify, cert, trust_env=trust_env)))


def tls_context(verify: bool | str = True) -> ssl.SSLContext:
    """Return the TLS context of a default client, for checks of certificates. `verify` as in `http_client`."""
    return create_context_factory(HTTPLibrary.from_name("httpx").api, verify, None, trust_env=True)()


@cache
def _default_context(library: ModuleType, trust_env: bool, *_environment: str | None) -> ssl.SSLContext:
    return _http11_only(library.create_ssl_context(trust_env=trust_env))


def _create_context(library: ModuleType, verify: bool | str, cert: Cert | None, *, trust_env: bool) -> ssl.SSLContext:
    if isinstance(verify, str):
        path = Path(verify)
        context = ssl.create_default_context(capath=path) if path.is_dir() else ssl.create_default_context(cafile=path)
    else:
        context = library.create_ssl_context(verify=verify, trust_env=trust_env)
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context


def _http11_only(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    return context
