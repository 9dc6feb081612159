"""httpx clients on our transports, with proxies from the environment as httpx itself reads them."""

import logging
import ssl
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.request import Request, getproxies

from mdstream_core.http import check_proxy
from mdstream_core.transport._config import default_limits
from mdstream_core.transport._http_library import HTTPLibrary
from mdstream_core.transport._tls import Cert, create_context_factory
from mdstream_core.transport._transport_classes import build_transport_classes

if TYPE_CHECKING:
    import httpx

_HEADERS = {"accept-encoding": "gzip, deflate"}  # what httpx can decode while it streams


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
    """An `httpx.Client` whose responses carry `extensions["trailers"]`. No timeouts: each request brings its own.

    Args:
        verify: As in httpx; a `str` names a file or directory of CAs. By default one context serves all clients.
        cert: The client's certificate: file, (file, key) or (file, key, password).
        proxy: A URL or `httpx.Proxy` for everything. A SOCKS proxy is httpx's own affair, without trailers.
        trust_env: Heed `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`, `SSL_CERT_DIR`.
        limits: An `httpx.ServerLimits`.
        library: `"httpx"` or `"httpx2"`.
        options: Whatever else the client takes (`event_hooks`, `headers`, `base_url` …). `cookies` are sent with each
            request; those that responses set are not kept.
    """
    http_library = HTTPLibrary.from_name(library)
    build = _TransportFactory(http_library, 0, verify=verify, cert=cert, trust_env=trust_env, limits=limits)
    return http_library.api.Client(**build.arguments(proxy), **_options(http_library.api, options))  # type: ignore[no-any-return]


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
    """The same for tasks, see `http_client`. It belongs to the event loop that first uses it."""
    http_library = HTTPLibrary.from_name(library)
    build = _TransportFactory(http_library, 1, verify=verify, cert=cert, trust_env=trust_env, limits=limits)
    return http_library.api.AsyncClient(**build.arguments(proxy), **_options(http_library.api, options))  # type: ignore[no-any-return]


def _options(api: ModuleType, given: dict[str, Any]) -> dict[str, Any]:
    headers = api.Headers(_HEADERS)
    headers.update(given.get("headers"))
    cookies = _create_send_only_jar(api.Cookies(given.get("cookies")).jar)
    return {"timeout": None, "follow_redirects": False, **given, "headers": headers, "cookies": cookies}


class _NoStoreCookiePolicy(DefaultCookiePolicy):
    """Keeps no cookie of a response: it would travel with the next request, which may be another user's."""

    def set_ok(self, cookie: Cookie, request: Request) -> bool:
        return False


def _create_send_only_jar(given: CookieJar) -> CookieJar:
    """A jar that sends the cookies that were given, and never gets others."""
    jar = CookieJar(_NoStoreCookiePolicy())
    for cookie in given:
        jar.set_cookie(cookie)
    return jar


class _TransportFactory:
    """Builds the transports of one client: one for all, or one for each proxy of the environment."""

    def __init__(self, http_library: HTTPLibrary, variant: int, *, trust_env: bool, limits: Any, **tls: Any) -> None:
        self._http_library = http_library
        self._variant = variant
        self._trust_env = trust_env
        self._options = {"trust_env": trust_env, "limits": limits, **tls}

    def arguments(self, proxy: Any) -> dict[str, Any]:
        """`transport`, `mounts` and `trust_env` for the client."""
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
            logging.getLogger(f"{core}.socks").addFilter(_hides_password)  # adds it once
        stock = (api.HTTPTransport, api.AsyncHTTPTransport)[self._variant]
        tls = create_context_factory(api, self._options["verify"], self._options["cert"], trust_env=self._trust_env)
        return stock(proxy=proxy, verify=tls(), limits=self._options["limits"] or default_limits(api))


def _hides_password(record: logging.LogRecord) -> bool:
    """Whether a record of httpcore's is written: at DEBUG it tells the proxy's user and password."""
    return not str(record.msg).startswith("setup_socks5_connection.started")


def environment_proxies() -> dict[str, str | None]:
    """URL patterns of httpx and the proxy for each, `None` for no proxy, as httpx reads `HTTP_PROXY` and its kin.

    httpx keeps its own reading private, and skips it for a client with a transport of its own.
    """
    found = getproxies()
    exempt = [host.strip() for host in found.get("no", "").split(",") if host.strip()]
    if "*" in exempt:
        return {}
    proxies: dict[str, str | None] = {
        f"{scheme}://": url if "://" in url else f"http://{url}"
        for scheme in ("http", "https", "all")
        if (url := found.get(scheme))
    }
    return proxies | dict.fromkeys(map(_url_pattern, exempt))


def _url_pattern(host: str) -> str:
    """An entry of `NO_PROXY` as httpx spells it: a name stands for its subdomains too, `.name` only for them.

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
