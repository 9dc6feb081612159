"""httpx clients on our transports, with proxies from the environment as httpx itself reads them."""

import logging
import ssl
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.request import Request, getproxies

from mdstream_core.http import check_proxy
from mdstream_core.transport._classes import transports
from mdstream_core.transport._pair import Pair
from mdstream_core.transport._tls import Cert, trust
from mdstream_core.transport._wiring import default_limits

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
        limits: An `httpx.Limits`.
        library: `"httpx"` or `"httpx2"`.
        options: Whatever else the client takes (`event_hooks`, `headers`, `base_url` …). `cookies` are sent with each
            request; those that responses set are not kept.
    """
    pair = Pair.of(library)
    build = _Transports(pair, 0, verify=verify, cert=cert, trust_env=trust_env, limits=limits)
    return pair.face.Client(**build.arguments(proxy), **_options(pair.face, options))  # type: ignore[no-any-return]


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
    pair = Pair.of(library)
    build = _Transports(pair, 1, verify=verify, cert=cert, trust_env=trust_env, limits=limits)
    return pair.face.AsyncClient(**build.arguments(proxy), **_options(pair.face, options))  # type: ignore[no-any-return]


def _options(face: ModuleType, given: dict[str, Any]) -> dict[str, Any]:
    headers = face.Headers(_HEADERS)
    headers.update(given.get("headers"))
    cookies = _send_only_jar(face.Cookies(given.get("cookies")).jar)
    return {"timeout": None, "follow_redirects": False, **given, "headers": headers, "cookies": cookies}


class _KeepNone(DefaultCookiePolicy):
    """Keeps no cookie of a response: it would travel with the next request, which may be another user's."""

    def set_ok(self, cookie: Cookie, request: Request) -> bool:
        return False


def _send_only_jar(given: CookieJar) -> CookieJar:
    """A jar that sends the cookies that were given, and never gets others."""
    jar = CookieJar(_KeepNone())
    for cookie in given:
        jar.set_cookie(cookie)
    return jar


class _Transports:
    """Builds the transports of one client: one for all, or one for each proxy of the environment."""

    def __init__(self, pair: Pair, colour: int, *, trust_env: bool, limits: Any, **tls: Any) -> None:
        self._pair = pair
        self._colour = colour
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
        face = self._pair.face
        if proxy is not None and not isinstance(proxy, face.Proxy):
            check_proxy("proxy (or HTTP_PROXY, HTTPS_PROXY, ALL_PROXY)", str(proxy))
            proxy = face.Proxy(proxy)
        if proxy is not None and proxy.url.scheme.startswith("socks"):
            return self._socks(face, proxy)
        return transports(face, self._pair.core)[self._colour](proxy=proxy, **self._options)

    def _socks(self, face: ModuleType, proxy: Any) -> Any:
        for core in ("httpcore", "httpcore2"):
            logging.getLogger(f"{core}.socks").addFilter(_hides_password)  # adds it once
        stock = (face.HTTPTransport, face.AsyncHTTPTransport)[self._colour]
        tls = trust(face, self._options["verify"], self._options["cert"], trust_env=self._trust_env)
        return stock(proxy=proxy, verify=tls(), limits=self._options["limits"] or default_limits(face))


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
    return proxies | dict.fromkeys(map(_pattern, exempt))


def _pattern(host: str) -> str:
    """An entry of `NO_PROXY` as httpx spells it: a name stands for its subdomains too, `.name` only for them.

    >>> [_pattern(host) for host in ("example.com", "127.0.0.1", "::1", "localhost", "http://a.b")]
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
