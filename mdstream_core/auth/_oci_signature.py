"""The signature itself: a request and a credential in, headers out. Pure; no clock, no file.

The scheme is draft-cavage-http-signatures with RSA-SHA256, as `oci.signer` (2.189) writes it, byte for byte.
https://docs.oracle.com/en-us/iaas/Content/API/Concepts/signingrequests.htm
"""

import base64
import hashlib
from urllib.parse import urlsplit

from mdstream_core.auth._oci_keys import Credential
from mdstream_core.http import Request

_ALWAYS = ("date", "(request-target)", "host")
_WITH_BODY = (*_ALWAYS, "content-length", "content-type", "x-content-sha256")

#: Which headers each method signs, in this order.
SIGNED = {
    "get": _ALWAYS,
    "head": _ALWAYS,
    "delete": _ALWAYS,
    "post": _WITH_BODY,
    "put": _WITH_BODY,
    "patch": _WITH_BODY,
}


def target(url: str) -> str:
    """What stands in the request line: the path and the query, as they are sent.

    >>> target("https://host:8443?a=%20#part"), target("https://host/a?")
    ('/?a=%20', '/a?')
    """
    parts = urlsplit(url)
    mark = "?" if "?" in url.partition("#")[0] else ""  # an empty query is sent with its question mark
    return f"{parts.path or '/'}{mark}{parts.query}"


def host(url: str) -> str:
    """Name and port as the URL spells them.

    >>> host("https://user:word@Host:443/path")
    'Host:443'
    """
    return urlsplit(url).netloc.rpartition("@")[2]


def signed_headers(request: Request, credential: Credential, date: str) -> dict[str, str]:
    """The request's headers, completed as the OCI SDK completes them, and `authorization`."""
    names = SIGNED.get(request.method.lower())
    if names is None:
        raise ValueError(f"OCI signs no {request.method!r} requests, only {', '.join(SIGNED).upper()}")
    if not request.url.isascii() or " " in request.url:
        raise ValueError(f"the URL {request.url!r} must be percent-encoded before it is signed")
    headers = {"date": date, "host": host(request.url), "content-type": "application/json", **request.headers}
    if names is _WITH_BODY:
        headers.setdefault("content-length", str(len(request.content)))
        headers["x-content-sha256"] = base64.b64encode(hashlib.sha256(request.content).digest()).decode()
    values = {**headers, "(request-target)": f"{request.method.lower()} {target(request.url)}"}
    text = "\n".join(f"{name}: {values[name]}" for name in names)
    return {**headers, "authorization": _authorization(credential, names, text)}


def _authorization(credential: Credential, names: tuple[str, ...], text: str) -> str:
    signature = base64.b64encode(credential.sign(text.encode("ascii"))).decode()
    return (
        f'Signature algorithm="rsa-sha256",headers="{" ".join(names)}",keyId="{credential.key_id}",'
        f'signature="{signature}",version="1"'
    )
