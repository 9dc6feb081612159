"""Checks of the way: name, port, encryption, and whether both clocks agree. Each wait has its limit."""

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
from mdstream_core.cli.check._finding import MAX_SECONDS, CheckContext, Finding, Status
from mdstream_core.errors import ConnectionFailed
from mdstream_core.http import Request
from mdstream_core.platforms import Platform
from mdstream_core.transport import tls_context
from mdstream_core.transport.fetch import fetch

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}

#: How far a clock may be off before signatures are refused, in seconds (each service's own page).
MAX_CLOCK_SKEW = {"oci-model-deployment": 300.0, "oci-genai": 300.0, "sagemaker": 300.0, "modelarts": 900.0}

#: What is worth a word, in seconds.
_NOTABLE_SKEW = 60.0

#: Days that a certificate should still be good for.
_EXPIRY_WARNING_DAYS = 14

#: OpenSSL's reasons not to trust a certificate (X509_V_ERR_…), what they mean, and what to do.
_UNTRUSTED_CERTIFICATE = "the certificate's authority is not known here"
_TRUST_HINT = (
    "name the authority's file with --ca-file or SSL_CERT_FILE: an own server's, or the company's proxy's that opens "
    "the encryption"
)
_TLS_ERRORS: Mapping[int, tuple[str, str]] = {
    9: ("the certificate is not valid yet", "check this machine's clock"),
    10: ("the certificate has expired", "renew it on the server; or check this machine's clock"),
    18: ("the certificate is signed by itself, and not known here", _TRUST_HINT),
    19: (_UNTRUSTED_CERTIFICATE, _TRUST_HINT),
    20: (_UNTRUSTED_CERTIFICATE, _TRUST_HINT),
    21: (_UNTRUSTED_CERTIFICATE, _TRUST_HINT),
    62: ("the certificate is for another host name", "check the host in ENDPOINT"),
    64: ("the certificate is for another address", "give the host's name, not its number"),
}

#: What the DNS says, and what to do.
_DNS_ERRORS: Mapping[int, tuple[str, str]] = {
    socket.EAI_NONAME: ("DNS knows no host", "check its spelling and the region in it"),
    socket.EAI_AGAIN: ("DNS gives no answer for", "check this machine's network and its DNS servers"),
}
_PRIVATE_ENDPOINT_HINT = "a private endpoint's name is known inside its own network only"


def check_dns(check_context: CheckContext) -> Finding:
    """Whether the host has an address."""
    url = _url(check_context.platform)
    proxy = _proxy(url)
    host, port = proxy or _host(url)
    through = f"the proxy {host} (of the environment)" if proxy else host
    try:
        found = _run_with_timeout(MAX_SECONDS, socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
    except TimeoutError:
        return Finding(
            Status.FAIL, f"DNS did not answer within {MAX_SECONDS:g} s for {through}", _DNS_ERRORS[socket.EAI_AGAIN][1]
        )
    except socket.gaierror as error:
        text, hint = _DNS_ERRORS.get(
            error.errno or 0, (f"DNS says {error.strerror!r} of", _DNS_ERRORS[socket.EAI_NONAME][1])
        )
        return Finding(Status.FAIL, f"{text} {through}", f"{hint}; {_PRIVATE_ENDPOINT_HINT}", {"host": host})
    except (OSError, UnicodeError) as error:
        return Finding(
            Status.FAIL, f"{through} is no host's name: {error}", _DNS_ERRORS[socket.EAI_NONAME][1], {"host": host}
        )
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    text = f"{through} is {', '.join(addresses[:3])}" + (" …" if len(addresses) > 3 else "")
    text = f"{through} is an address itself" if addresses == [host] else text
    return Finding(Status.OK, text, "", {"host": host, "addresses": addresses}, {"proxy": proxy})


def check_tcp(check_context: CheckContext) -> Finding:
    """Whether somebody listens."""
    host, port = check_context.proxy or _host(_url(check_context.platform))
    begun = time.monotonic()
    try:
        socket.create_connection((host, port), MAX_SECONDS).close()
    except TimeoutError:
        return Finding(
            Status.FAIL,
            f"{host}:{port} did not answer within {MAX_SECONDS:g} s",
            "a firewall or security list drops it: allow TCP to this port, or ask from inside the endpoint's network",
        )
    except ConnectionRefusedError:
        where = "HTTPS_PROXY or HTTP_PROXY" if check_context.proxy else "ENDPOINT"
        hint = f"check the port in {where}, and that it runs"
        return Finding(Status.FAIL, f"nothing listens on port {port} of {host}", hint)
    except OSError as error:
        return Finding(Status.FAIL, f"{host}:{port} is not reached: {error.strerror or error}", "check the network")
    spent = (time.monotonic() - begun) * 1000
    return Finding(Status.OK, f"port {port} answers in {spent:.0f} ms", "", {"port": port, "ms": round(spent, 1)})


def check_tls(check_context: CheckContext) -> Finding:
    """Whether the certificate is trusted."""
    url = _url(check_context.platform)
    if _PORTS[url.scheme] == 80:
        return Finding(Status.UNAVAILABLE, "not encrypted", "", {"version": None})
    if check_context.proxy:
        return Finding(Status.OK, "through the proxy: judged with the first question")
    host, port = _host(url)
    try:
        context = tls_context(check_context.options.ca_file or True)
        with (
            socket.create_connection((host, port), MAX_SECONDS) as raw,
            context.wrap_socket(raw, server_hostname=host) as it,
        ):
            certificate: Mapping[str, Any] = it.getpeercert() or {}
            version = it.version() or "TLS"
    except ssl.SSLCertVerificationError as error:
        text, hint = _TLS_ERRORS.get(
            error.verify_code, (f"the certificate is refused: {error.verify_message}", _TRUST_HINT)
        )
        return Finding(Status.FAIL, text, hint, {"openssl": error.verify_message})
    except ssl.SSLError as error:
        said = (error.reason or str(error)).lower().replace("_", " ")
        return Finding(Status.FAIL, f"no encryption was agreed on: {said}", "does this port speak https? try http://")
    except (OSError, ValueError) as error:
        return Finding(
            Status.FAIL, f"the handshake broke: {error}", "something on the way closes it; --ca-file must be a PEM file"
        )
    return _judge_certificate(certificate, version)


def _judge_certificate(certificate: Mapping[str, Any], version: str) -> Finding:
    left = int((ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86_400)
    fields = {name: value for part in certificate.get("issuer", ()) for name, value in part}
    issuer = fields.get("organizationName") or fields.get("commonName") or "an unnamed authority"
    text = f"{version}, certificate by {issuer}, good for {left} days"
    facts = {"version": version, "issuer": issuer, "days_left": left}
    return (
        Finding(Status.WARN, text, "it ends soon: renew it", facts)
        if left < _EXPIRY_WARNING_DAYS
        else Finding(Status.OK, text, "", facts)
    )


def check_clock(check_context: CheckContext) -> Finding:
    """Whether this clock is near the service's: signatures carry the time. Asks for the host's root, unsigned."""
    url = _url(check_context.platform)
    secure = "https" if _PORTS[url.scheme] == 443 else "http"
    probe, before = Request("GET", f"{secure}://{url.netloc}/", {"user-agent": "mdstream"}), time.time()
    try:
        _, head, _ = fetch(probe, timeout=MAX_SECONDS, verify=check_context.options.ca_file or True)
        there = parsedate_to_datetime(head.get("date", "")).timestamp()
    except ConnectionFailed as error:
        return Finding(Status.WARN, f"the host's root gives no answer to compare clocks by: {error}")
    except ValueError:
        return Finding(Status.WARN, "the host sends no Date to compare clocks by")
    ahead = (before + time.time()) / 2 - there
    return _compare_clocks(check_context, round(ahead))


def _compare_clocks(check_context: CheckContext, ahead: int) -> Finding:
    facts, learned = {"seconds_ahead": ahead}, {"skew": float(ahead)}
    if abs(ahead) < _NOTABLE_SKEW:
        return Finding(
            Status.OK, "it agrees with the service's" if abs(ahead) < 3 else _describe_skew(ahead), "", facts, learned
        )
    allowed = MAX_CLOCK_SKEW[check_context.endpoint_info.platform]
    hint = "set the clock (timedatectl set-ntp true, w32tm /resync; in a container: its host's)"
    auth = check_context.credentials.auth if check_context.credentials else None
    if abs(ahead) > allowed and auth is not None and not isinstance(auth, BearerSigner | UnsignedSigner):
        text = f"{_describe_skew(ahead)}: signatures are refused beyond {allowed / 60:.0f} minutes"
        return Finding(Status.FAIL, text, hint, facts, learned)
    return Finding(Status.WARN, _describe_skew(ahead), hint, facts, learned)


def _describe_skew(ahead: int) -> str:
    size = f"{abs(ahead)} s" if abs(ahead) < 120 else f"{abs(ahead) / 60:.0f} minutes"
    return f"this machine's clock is {size} {'ahead' if ahead > 0 else 'behind'}"


def _url(platform: Platform | None) -> SplitResult:
    return urlsplit(platform.base_url if platform else "")


def _host(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or _PORTS[url.scheme]


def _proxy(url: SplitResult) -> tuple[str, int] | None:
    """The proxy that the environment names for this host."""
    found = getproxies()
    given = found.get("https" if _PORTS[url.scheme] == 443 else "http") or found.get("all")
    if not given or proxy_bypass(url.netloc) or proxy_bypass(url.hostname or ""):
        return None
    proxy = urlsplit(given if re.match(r"\w+://", given) else f"http://{given}")
    return proxy.hostname or "", proxy.port or (443 if proxy.scheme == "https" else 80)


def _run_with_timeout(seconds: float, function: Any, *arguments: Any) -> Any:
    """What `function` returns, if it does so in time: a look-up of a name cannot be called back, only left alone."""
    done: Future[Any] = Future()

    def run() -> None:
        try:
            done.set_result(function(*arguments))
        except (OSError, UnicodeError) as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(seconds)
