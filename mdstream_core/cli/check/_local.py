"""Checks that need no network: the credentials and the endpoint's address."""

from urllib.parse import urlsplit

from mdstream_core.cli._credentials import resolve_credentials
from mdstream_core.cli._endpoints import build_platform
from mdstream_core.cli._options import MissingCredential, UsageError
from mdstream_core.cli.check._finding import CheckContext, Finding, Status, failure_from_error, text_and_hint
from mdstream_core.errors import MDStreamError, MissingExtra

_CREDENTIALS_HINT = "choose another --auth-type or --profile"


def check_credentials(check_context: CheckContext) -> Finding:
    """Find the credentials."""
    try:
        credentials = resolve_credentials(check_context.endpoint_info, check_context.options)
    except MissingExtra as error:
        text, hint = text_and_hint(str(error))
        return Finding(Status.FAIL, text, f"{hint}, or {_CREDENTIALS_HINT}")
    except (MissingCredential, UsageError) as error:
        return Finding(Status.FAIL, *text_and_hint(str(error), _CREDENTIALS_HINT))
    except MDStreamError as error:
        return failure_from_error(error, _CREDENTIALS_HINT)
    source = credentials.source
    status = Status.WARN if source.startswith("none") else Status.OK
    return Finding(status, source, facts={"found": source}, updates={"credentials": credentials})


def check_endpoint(check_context: CheckContext) -> Finding:
    """Build the platform with the endpoint's address."""
    credentials, endpoint_info = check_context.credentials, check_context.endpoint_info
    region, url = (credentials.region, credentials.url) if credentials else (None, None)
    try:
        platform = build_platform(endpoint_info, check_context.options, region, url)
    except UsageError as error:
        return Finding(Status.FAIL, *text_and_hint(str(error)), {"platform": endpoint_info.platform})
    text = f"{endpoint_info.platform} (detected from {endpoint_info.matched_by}): {platform.base_url}"
    if endpoint_info.matched_by.startswith("--"):
        text = f"{endpoint_info.platform} (set by {endpoint_info.matched_by}): {platform.base_url}"
    facts = {"platform": endpoint_info.platform, "known_by": endpoint_info.matched_by, "url": platform.base_url}
    updates = {"platform": platform}
    if urlsplit(platform.base_url).scheme in {"http", "ws"} and not _is_loopback(platform.base_url):
        hint = "use https:// if the endpoint supports it: the traffic is not encrypted"
        return Finding(Status.WARN, text, hint, facts, updates)
    return Finding(Status.OK, text, "", facts, updates)


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
