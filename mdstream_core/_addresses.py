"""Checks of names and URLs that become part of a host, a path or a header.

Whoever chooses a part of a host chooses who is sent the credential, so each name is compared with the pattern of its
service before anything is signed or sent. A URL that a user gives as an endpoint may lead anywhere, but must be one.
"""

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

#: The longest value that is looked at, in characters; a security limit. A host has 253, an OCID 255.
_LONGEST = 255

_REGION = r"[a-z]{2,}(-[a-z0-9]+)+-[0-9]+"

#: What a value looks like, and what to say of one that does not. Sources: `oci/regions_definitions.py` and "Resource
#: Identifiers" in Oracle's documentation; botocore's `partitions.json`; "IAM, Projects" in Huawei Cloud's.
_SHAPES: dict[str, tuple[str, str]] = {
    "oci region": (_REGION, "is no region's name, such as us-chicago-1"),
    "oci region or key": (rf"{_REGION}|[a-z]{{3}}", "is no region's name, such as us-ashburn-1"),
    "oci realm": (r"oc[0-9]+", "is no realm's name, such as oc1; or give service_endpoint='https://…'"),
    "oci compartment": (
        r"ocid1\.(compartment|tenancy)\.[a-z0-9]+\.[a-z0-9-]*(\.[A-Za-z0-9_-]+)+",
        "is no OCID of a compartment: ocid1.compartment.oc1..…",
    ),
    "openai base": (
        r"(/(?!\.\.?/)[A-Za-z0-9_.-]+)*/v1",
        "is no path such as /openai/v1 or /20231130/actions/v1",
    ),
    "aws region": (_REGION, "is no region's name, such as us-east-1"),
    "aws signing region": (r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "is no region's name, such as us-east-1"),
    "huawei project": (
        rf"{_REGION}(_[A-Za-z0-9_-]+)?",
        "is no project's name, such as cn-north-4 or cn-north-4_team; or give iam_endpoint='https://…'",
    ),
    "huawei project elsewhere": (r"[A-Za-z0-9][A-Za-z0-9_-]*", "is no project's name, such as cn-north-4"),
}
_PATTERNS = {shape: (re.compile(pattern), words) for shape, (pattern, words) in _SHAPES.items()}

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:.]+")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_AUTHORITY = re.compile(r"[^/?#]*//([^/?#]*)")


def check_name(field: str, value: str, shape: str) -> str:
    """The value, if it looks as its service wants it.

    Args:
        field: The parameter's name, for the error.
        value: What was given, or found in a file, the environment or a metadata service.
        shape: A key of the table of patterns.

    Raises:
        ValueError: It does not; nothing may be sent.

    >>> check_name("region", "us-chicago-1", "oci region")
    'us-chicago-1'
    >>> check_name("region", "evil.example/", "oci region")
    Traceback (most recent call last):
    ValueError: region='evil.example/' is no region's name, such as us-chicago-1
    """
    pattern, words = _PATTERNS[shape]
    if len(value) > _LONGEST or not pattern.fullmatch(value):
        raise ValueError(f"{field}={value[:80]!r} {words}")
    return value


def check_url(
    field: str,
    url: str,
    *,
    words: str,
    schemes: Collection[str] = ("http", "https"),
    also: str = "; give credentials as auth= or api_key=",
) -> SplitResult:
    """The parts of a URL, if it has a scheme, a host, and no user or password.

    Args:
        field: The parameter's name, for the error.
        url: What was given.
        words: What to say of a text that is no such URL.
        schemes: Those that are allowed.
        also: What to say behind a user or password.

    Raises:
        ValueError: It is none. The error shows neither its query nor a user or password.
    """
    authority = _AUTHORITY.match(url)
    if authority and "@" in authority[1]:
        raise ValueError(f"{field} has a user or password before its host{also}")
    shown = re.split("[?#]", url)[0].rpartition("@")[2]
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname and _HOST.fullmatch(parts.hostname)) and parts.port != 0
    except ValueError:
        raise ValueError(f"{field}={shown[:200]!r} is no URL: its host or port cannot be read") from None
    if parts.scheme not in schemes or not has_host or not _VISIBLE.fullmatch(url):
        raise ValueError(f"{field}={shown[:200]!r} {words}")
    return parts
