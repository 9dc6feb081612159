"""Checks of the network: DNS, TCP, TLS and the clock. Each has a timeout."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from mdstream_core.auth import BearerSigner, UnsignedSigner
from mdstream_core.cli._platform_names import MODELARTS, OCI_GENAI, OCI_MODEL_DEPLOYMENT, SAGEMAKER
from mdstream_core.cli.check._finding import NETWORK_TIMEOUT, CheckContext, Finding, Status
from mdstream_core.errors import ConnectionFailed
from mdstream_core.http import Request
from mdstream_core.platforms import Platform
from mdstream_core.transport import tls_context
from mdstream_core.transport.fetch import fetch

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}

#: Maximum clock skew before signatures are rejected, in seconds (from each service's documentation).
MAX_CLOCK_SKEW = {OCI_MODEL_DEPLOYMENT: 300.0, OCI_GENAI: 300.0, SAGEMAKER: 300.0, MODELARTS: 900.0}

#: Clock skew from which a warning is given, in seconds.
_SKEW_WARNING = 60.0

#: Days before its expiry from which a certificate is warned of.
_EXPIRY_WARNING_DAYS = 14

_UNTRUSTED_CERTIFICATE = "the certificate authority is not trusted by this machine"
_TRUST_HINT = (
    "pass the authority's PEM file with --ca-file or SSL_CERT_FILE, such as that of your own server or of a proxy that "
    "inspects TLS"
)

#: Text and hint by OpenSSL's verification error (X509_V_ERR_…).
_TLS_ERRORS: Mapping[int, tuple[str, str]] = {
    9: ("the certificate is not valid yet", "check this machine's clock"),
    10: ("the certificate has expired", "renew it on the server, or check this machine's clock"),
    18: ("the certificate is self-signed and not trusted by this machine", _TRUST_HINT),
    19: (_UNTRUSTED_CERTIFICATE, _TRUST_HINT),
    20: (_UNTRUSTED_CERTIFICATE, _TRUST_HINT),
    21: (_UNTRUSTED_CERTIFICATE, _TRUST_HINT),
    62: ("the certificate is for another host name", "check the host in ENDPOINT"),
    64: ("the certificate is for another address", "use the host name in ENDPOINT, not its IP address"),
}

#: Text and hint by resolver error.
_DNS_ERRORS: Mapping[int, tuple[str, str]] = {
    socket.EAI_NONAME: ("DNS has no record of", "check the spelling of the host name and the region in it"),
    socket.EAI_AGAIN: ("DNS returned no response for", "check this machine's network and its DNS servers"),
}
_PRIVATE_ENDPOINT_HINT = "the name of a private endpoint resolves only inside its network"


def check_dns(check_context: CheckContext) -> Finding:
    """Resolve the host name, or that of the proxy."""
    url = _url(check_context.platform)
    proxy = _proxy(url)
    host, port = proxy or _host(url)
    through = f"the proxy {host} (from the environment)" if proxy else host
    try:
        found = _run_with_timeout(NETWORK_TIMEOUT, socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
    except TimeoutError:
        return Finding(
            Status.FAIL,
            f"DNS returned no response for {through} within {NETWORK_TIMEOUT:g} s",
            _DNS_ERRORS[socket.EAI_AGAIN][1],
        )
    except socket.gaierror as error:
        text, hint = _DNS_ERRORS.get(
            error.errno or 0, (f"DNS error {error.strerror!r} for", _DNS_ERRORS[socket.EAI_NONAME][1])
        )
        return Finding(Status.FAIL, f"{text} {through}", f"{hint}; {_PRIVATE_ENDPOINT_HINT}", {"host": host})
    except (OSError, UnicodeError) as error:
        return Finding(
            Status.FAIL,
            f"{through} is not a valid host name: {error}",
            _DNS_ERRORS[socket.EAI_NONAME][1],
            {"host": host},
        )
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    text = f"{through} resolves to {', '.join(addresses[:3])}" + (" …" if len(addresses) > 3 else "")
    text = f"{through} is an IP address" if addresses == [host] else text
    return Finding(Status.OK, text, "", {"host": host, "addresses": addresses}, {"proxy": proxy})


def check_tcp(check_context: CheckContext) -> Finding:
    """Open a TCP connection to the host, or to the proxy."""
    host, port = check_context.proxy or _host(_url(check_context.platform))
    started = time.monotonic()
    try:
        socket.create_connection((host, port), NETWORK_TIMEOUT).close()
    except TimeoutError:
        return Finding(
            Status.FAIL,
            f"connecting to {host}:{port} timed out after {NETWORK_TIMEOUT:g} s",
            "allow TCP to this port in firewalls and security lists, or connect from inside the endpoint's network",
        )
    except ConnectionRefusedError:
        where = "HTTPS_PROXY or HTTP_PROXY" if check_context.proxy else "ENDPOINT"
        hint = f"check the port in {where}, and that the server runs"
        return Finding(Status.FAIL, f"nothing listens on port {port} of {host}", hint)
    except OSError as error:
        return Finding(Status.FAIL, f"cannot connect to {host}:{port}: {error.strerror or error}", "check the network")
    elapsed = (time.monotonic() - started) * 1000
    return Finding(
        Status.OK, f"connected to port {port} in {elapsed:.0f} ms", "", {"port": port, "ms": round(elapsed, 1)}
    )


def check_tls(check_context: CheckContext) -> Finding:
    """Verify the certificate."""
    url = _url(check_context.platform)
    if _PORTS[url.scheme] == 80:
        return Finding(Status.SKIP, f"{url.scheme}:// is not encrypted", "", {"version": None})
    if check_context.proxy:
        return Finding(Status.OK, "through the proxy: verified with the first request")
    host, port = _host(url)
    try:
        context = tls_context(check_context.options.ca_file or True)
        with (
            socket.create_connection((host, port), NETWORK_TIMEOUT) as raw,
            context.wrap_socket(raw, server_hostname=host) as connection,
        ):
            certificate: Mapping[str, Any] = connection.getpeercert() or {}
            version = connection.version() or "TLS"
    except ssl.SSLCertVerificationError as error:
        text, hint = _TLS_ERRORS.get(
            error.verify_code, (f"the certificate is not trusted: {error.verify_message}", _TRUST_HINT)
        )
        return Finding(Status.FAIL, text, hint, {"openssl": error.verify_message})
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        hint = "check that this port serves HTTPS; if it does not, use http://"
        return Finding(Status.FAIL, f"the TLS handshake failed: {reason}", hint)
    except (OSError, ValueError) as error:
        hint = "check for a firewall or proxy that closes the connection, and that --ca-file is a PEM file"
        return Finding(Status.FAIL, f"the TLS handshake failed: {error}", hint)
    return _check_certificate(certificate, version)


def _check_certificate(certificate: Mapping[str, Any], version: str) -> Finding:
    days_left = int((ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86_400)
    fields = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    issuer = fields.get("organizationName") or fields.get("commonName") or "an unnamed authority"
    text = f"{version}, certificate by {issuer}, valid for {days_left} days"
    facts = {"version": version, "issuer": issuer, "days_left": days_left}
    return (
        Finding(Status.WARN, text, "renew the certificate", facts)
        if days_left < _EXPIRY_WARNING_DAYS
        else Finding(Status.OK, text, "", facts)
    )


def check_clock(check_context: CheckContext) -> Finding:
    """Compare the clock with the Date header of an unsigned request to the host's root: signatures contain the time."""
    url = _url(check_context.platform)
    secure = "https" if _PORTS[url.scheme] == 443 else "http"
    request, started = Request("GET", f"{secure}://{url.netloc}/", {"user-agent": "mdstream"}), time.time()
    try:
        _, head, _ = fetch(request, timeout=NETWORK_TIMEOUT, verify=check_context.options.ca_file or True)
        service_time = parsedate_to_datetime(head.get("date", "")).timestamp()
    except ConnectionFailed as error:
        return Finding(Status.WARN, f"the clock could not be compared, because the host returned no response: {error}")
    except ValueError:
        return Finding(Status.WARN, "the clock could not be compared, because the host sends no Date header")
    ahead = (started + time.time()) / 2 - service_time
    return _compare_clocks(check_context, round(ahead))


def _compare_clocks(check_context: CheckContext, ahead: int) -> Finding:
    facts, updates = {"seconds_ahead": ahead}, {"clock_skew": float(ahead)}
    if abs(ahead) < _SKEW_WARNING:
        return Finding(
            Status.OK, "in sync with the service" if abs(ahead) < 3 else _describe_skew(ahead), "", facts, updates
        )
    allowed = MAX_CLOCK_SKEW[check_context.endpoint_info.platform]
    hint = "set the clock: timedatectl set-ntp true, or w32tm /resync; in a container, set the clock of its host"
    auth = check_context.credentials.auth if check_context.credentials else None
    if abs(ahead) > allowed and auth is not None and not isinstance(auth, BearerSigner | UnsignedSigner):
        text = f"{_describe_skew(ahead)}: signatures are rejected beyond {allowed / 60:.0f} minutes"
        return Finding(Status.FAIL, text, hint, facts, updates)
    return Finding(Status.WARN, _describe_skew(ahead), hint, facts, updates)


def _describe_skew(ahead: int) -> str:
    size = f"{abs(ahead)} s" if abs(ahead) < 120 else f"{abs(ahead) / 60:.0f} minutes"
    return f"this machine's clock is {size} {'ahead' if ahead > 0 else 'behind'}"


def _url(platform: Platform | None) -> SplitResult:
    return urlsplit(platform.base_url if platform else "")


def _host(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or _PORTS[url.scheme]


def _proxy(url: SplitResult) -> tuple[str, int] | None:
    """Return host and port of the proxy that the environment sets for this host."""
    proxies = getproxies()
    proxy_url = proxies.get("https" if _PORTS[url.scheme] == 443 else "http") or proxies.get("all")
    if not proxy_url or proxy_bypass(url.netloc) or proxy_bypass(url.hostname or ""):
        return None
    proxy = urlsplit(proxy_url if re.match(r"\w+://", proxy_url) else f"http://{proxy_url}")
    return proxy.hostname or "", proxy.port or (443 if proxy.scheme == "https" else 80)


def _run_with_timeout(seconds: float, function: Any, *arguments: Any) -> Any:
    """Run the function in a thread and return its result. A name lookup cannot be cancelled: its thread may run on.

    Raises:
        TimeoutError: The function did not return in time.
    """
    done: Future[Any] = Future()

    def run() -> None:
        try:
            done.set_result(function(*arguments))
        except (OSError, UnicodeError) as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(seconds)
