"""Validate names and URLs that become part of a host, a path or a header.

A value that becomes part of a host decides where credentials are sent. So each name is compared with the pattern of its
service before a request is signed or sent. The endpoint URL of a user may have any host, but must be valid.
"""

import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

#: The maximum length of a value in characters; a security limit. A host has at most 253, an OCID 255.
_MAX_LENGTH = 255

_REGION = r"[a-z]{2,}(-[a-z0-9]+)+-[0-9]+"

#: Pattern of each kind of value, and the error message for a value that does not match. Sources: Oracle's
#: `oci/regions_definitions.py` and "Resource Identifiers"; botocore's `partitions.json`; "IAM, Projects" of
#: Huawei Cloud.
_SHAPES: dict[str, tuple[str, str]] = {
    "oci region": (_REGION, "is not a region name (hint: use a name such as us-chicago-1)"),
    "oci region or key": (rf"{_REGION}|[a-z]{{3}}", "is not a region name (hint: use a name such as us-ashburn-1)"),
    "oci realm": (
        r"oc[0-9]+",
        "is not a realm name (hint: use a name such as oc1, or set service_endpoint='https://…')",
    ),
    "oci compartment": (
        r"ocid1\.(compartment|tenancy)\.[a-z0-9]+\.[a-z0-9-]*(\.[A-Za-z0-9_-]+)+",
        "is not the OCID of a compartment (hint: it starts with ocid1.compartment.oc1..)",
    ),
    "oci conversation store": (
        r"[A-Za-z0-9][A-Za-z0-9._-]*",
        "is not the id of a conversation store (hint: use the id or OCID that the console shows)",
    ),
    "openai base": (
        r"(/(?!\.\.?/)[A-Za-z0-9_.-]+)*/v1",
        "is not a base path (hint: use a path such as /openai/v1 or /20231130/actions/v1)",
    ),
    "aws region": (_REGION, "is not a region name (hint: use a name such as us-east-1)"),
    "aws signing region": (
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
        "is not a region name (hint: use a name such as us-east-1)",
    ),
    "huawei project": (
        rf"{_REGION}(_[A-Za-z0-9_-]+)?",
        "is not a project name (hint: use cn-north-4 or cn-north-4_team, or set iam_endpoint='https://…')",
    ),
    "huawei project elsewhere": (
        r"[A-Za-z0-9][A-Za-z0-9_-]*",
        "is not a project name (hint: use a name such as cn-north-4)",
    ),
}
_PATTERNS = {shape: (re.compile(pattern), message) for shape, (pattern, message) in _SHAPES.items()}

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:.]+")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_AUTHORITY = re.compile(r"[^/?#]*//([^/?#]*)")


def check_name(field: str, value: str, shape: str) -> str:
    """Return the value if it matches the pattern of its kind.

    Args:
        field: The name of the parameter, for the error message.
        value: The value: of an argument, a file, the environment or a metadata service.
        shape: A key of the table of patterns.

    Raises:
        ValueError: It does not match; nothing may be sent.

    >>> check_name("region", "us-chicago-1", "oci region")
    'us-chicago-1'
    >>> check_name("region", "evil.example/", "oci region")
    Traceback (most recent call last):
    ValueError: region='evil.example/' is not a region name (hint: use a name such as us-chicago-1)
    """
    pattern, message = _PATTERNS[shape]
    if len(value) > _MAX_LENGTH or not pattern.fullmatch(value):
        raise ValueError(f"{field}={value[:80]!r} {message}")
    return value


def check_url(
    field: str,
    url: str,
    *,
    problem: str,
    schemes: Collection[str] = ("http", "https"),
    userinfo_hint: str = " (hint: pass credentials as auth= or api_key=)",
) -> SplitResult:
    """Split a URL into its parts, if it has a scheme, a host, and no user or password.

    Args:
        field: The name of the parameter, for the error message.
        url: The URL.
        problem: Error message for a value that is no such URL; it follows the field and its value.
        schemes: Allowed schemes.
        userinfo_hint: Hint for a URL with a user or password.

    Raises:
        ValueError: The URL is invalid. The error shows neither its query nor its user or password.
    """
    authority = _AUTHORITY.match(url)
    if authority and "@" in authority[1]:
        raise ValueError(f"{field} has a user or password before its host{userinfo_hint}")
    redacted = re.split("[?#]", url)[0].rpartition("@")[2]
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname and _HOST.fullmatch(parts.hostname)) and parts.port != 0
    except ValueError:
        raise ValueError(f"{field}={redacted[:200]!r} is not a URL: its host or port cannot be read") from None
    if parts.scheme not in schemes or not has_host or not _VISIBLE.fullmatch(url):
        raise ValueError(f"{field}={redacted[:200]!r} {problem}")
    return parts
