"""`http_client` and `async_http_client`: httpx clients with mdstream's transport, and proxies from the environment."""

import logging
import ssl
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.request import Request, getproxies

from mdstream_core.http import check_proxy
from mdstream_core.transport._config import TransportConfig, default_limits
from mdstream_core.transport._direct import DirectRequests
from mdstream_core.transport._http_library import HTTPLibrary
from mdstream_core.transport._tls import Cert, create_context_factory
from mdstream_core.transport._transport_classes import build_transport_classes

if TYPE_CHECKING:
    import httpx

#: Default options of TLS.
_TLS = {"verify": True, "cert": None}

_HEADERS = {"accept-encoding": "gzip, deflate"}  # the codings that can be decoded in a stream


def http_client(
    *,
    verify: bool | str | ssl.SSLContext = True,
    cert: Cert | None = None,
    proxy: Any = None,
    trust_env: bool = True,
    limits: Any = None,
    library: str = "httpx",
    **options: Any,
) -> "httpx.Client":
    """Create an `httpx.Client` whose responses have `extensions["trailers"]`.

    It has no timeouts of its own, because each request sets them.

    Args:
        verify: As in httpx; a `str` is the path of a file or directory of CAs. Clients with the default share one TLS
            context.
        cert: Client certificate: file, (file, key) or (file, key, password).
        proxy: A URL or `httpx.Proxy` for all requests. A SOCKS proxy uses httpx's own transport, without trailers.
        trust_env: Whether to use `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` and
            `SSL_CERT_DIR`.
        limits: An `httpx.Limits`. Default: 512 connections, idle ones are closed after 30 seconds.
        library: `"httpx"` or `"httpx2"`.
        options: Further arguments of the client (`event_hooks`, `headers`, `base_url` …). `cookies` are sent with each
            request; cookies of responses are discarded.
    """
    transports = _TransportFactory(library, 0, verify=verify, cert=cert, trust_env=trust_env, limits=limits)
    return transports.create_client(proxy, options)[0]  # type: ignore[no-any-return]


def async_http_client(
    *,
    verify: bool | str | ssl.SSLContext = True,
    cert: Cert | None = None,
    proxy: Any = None,
    trust_env: bool = True,
    limits: Any = None,
    library: str = "httpx",
    **options: Any,
) -> "httpx.AsyncClient":
    """Create an `httpx.AsyncClient`; arguments as for `http_client`. The first event loop that uses it owns it."""
    transports = _TransportFactory(library, 1, verify=verify, cert=cert, trust_env=trust_env, limits=limits)
    return transports.create_client(proxy, options)[0]  # type: ignore[no-any-return]


def create_owned_client(
    *, is_async: bool = False, proxy: Any = None, trust_env: bool = True, limits: Any = None, **tls: Any
) -> tuple[Any, DirectRequests]:
    """Create a client that nobody changes, and the builder of its direct requests; arguments as for `http_client`."""
    transports = _TransportFactory("httpx", int(is_async), **{**_TLS, **tls}, trust_env=trust_env, limits=limits)
    client, transport = transports.create_client(proxy, {})
    return client, DirectRequests(client, transport)


def _options(api: ModuleType, options: dict[str, Any]) -> dict[str, Any]:
    headers = api.Headers(_HEADERS)
    headers.update(options.get("headers"))
    cookies = _create_send_only_jar(api.Cookies(options.get("cookies")).jar)
    return {"timeout": None, "follow_redirects": False, **options, "headers": headers, "cookies": cookies}


class _NoStoreCookiePolicy(DefaultCookiePolicy):
    """Cookie policy that discards the cookies of responses: they would be sent with requests of other users."""

    def set_ok(self, cookie: Cookie, request: Request) -> bool:
        return False


def _create_send_only_jar(cookies: CookieJar) -> CookieJar:
    """Create a cookie jar that sends these cookies, and never stores others."""
    jar = CookieJar(_NoStoreCookiePolicy())
    for cookie in cookies:
        jar.set_cookie(cookie)
    return jar


class _TransportFactory:
    """Create the transports of one client: one for all requests, or one for each proxy of the environment."""

    def __init__(self, library: str, variant: int, *, trust_env: bool, limits: Any, **tls: Any) -> None:
        self._http_library = HTTPLibrary.from_name(library)
        self._variant = variant
        self._trust_env = trust_env
        self._options = {"trust_env": trust_env, "limits": limits, **tls}

    def create_client(self, proxy: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        """Create the client, and return it with the transport of all its requests; `None` if there are several."""
        api, arguments = self._http_library.api, self._arguments(proxy)
        client_type = (api.Client, api.AsyncClient)[self._variant]
        transport = arguments["transport"]
        is_only = not arguments["mounts"] and isinstance(transport, TransportConfig)
        return client_type(**arguments, **_options(api, options)), transport if is_only else None

    def _arguments(self, proxy: Any) -> dict[str, Any]:
        """Return `transport`, `mounts` and `trust_env` for the client's constructor."""
        mounts = environment_proxies() if self._trust_env and proxy is None else {}
        if secure := mounts.get("https://"):
            mounts = {**mounts, "wss://": secure}
        return {
            "transport": self._build(proxy),
            "mounts": {pattern: url and self._build(url) for pattern, url in mounts.items()},
            "trust_env": self._trust_env,
        }

    def _build(self, proxy: Any) -> Any:
        api = self._http_library.api
        if proxy is not None and not isinstance(proxy, api.Proxy):
            check_proxy("proxy (or HTTP_PROXY, HTTPS_PROXY, ALL_PROXY)", str(proxy))
            proxy = api.Proxy(proxy)
        if proxy is not None and proxy.url.scheme.startswith("socks"):
            return self._socks(api, proxy)
        return build_transport_classes(api, self._http_library.core)[self._variant](proxy=proxy, **self._options)

    def _socks(self, api: ModuleType, proxy: Any) -> Any:
        for core in ("httpcore", "httpcore2"):
            logging.getLogger(f"{core}.socks").addFilter(_has_no_password)  # added only once
        transport_class = (api.HTTPTransport, api.AsyncHTTPTransport)[self._variant]
        tls = create_context_factory(api, self._options["verify"], self._options["cert"], trust_env=self._trust_env)
        return transport_class(proxy=proxy, verify=tls(), limits=self._options["limits"] or default_limits(api))


def _has_no_password(record: logging.LogRecord) -> bool:
    """Log filter for httpcore, which logs the proxy's user and password at DEBUG."""
    return not str(record.msg).startswith("setup_socks5_connection.started")


def environment_proxies() -> dict[str, str | None]:
    """Read the proxies of the environment (`HTTP_PROXY` …) like httpx: a mapping of URL patterns to proxies or `None`.

    httpx's own function is private, and httpx does not use it for a client with a custom transport.
    """
    variables = getproxies()
    exempt = [host.strip() for host in variables.get("no", "").split(",") if host.strip()]
    if "*" in exempt:
        return {}
    proxies: dict[str, str | None] = {
        f"{scheme}://": url if "://" in url else f"http://{url}"
        for scheme in ("http", "https", "all")
        if (url := variables.get(scheme))
    }
    return proxies | dict.fromkeys(map(_url_pattern, exempt))


def _url_pattern(host: str) -> str:
    """Convert an entry of `NO_PROXY` to a URL pattern of httpx: a name includes its subdomains, `.name` only those.

    >>> [_url_pattern(host) for host in ("example.com", "127.0.0.1", "::1", "localhost", "http://a.b")]
    ['all://*example.com', 'all://127.0.0.1', 'all://[::1]', 'all://localhost', 'http://a.b']
    """
    if "://" in host:
        return host
    address, slash, subnet = host.partition("/")
    try:
        version = ip_address(address).version
    except ValueError:
        return f"all://{host}" if host.lower() == "localhost" else f"all://*{host}"
    return f"all://[{address}]{slash}{subnet}" if version == 6 else f"all://{host}"
