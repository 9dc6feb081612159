"""Checks of what is on this machine: who signs, and what the address means."""

from urllib.parse import urlsplit

from mdstream_core.cli._credentials import resolve_credentials
from mdstream_core.cli._endpoints import build_platform
from mdstream_core.cli._parser import MissingCredential, UsageError
from mdstream_core.cli.check._finding import CheckContext, Finding, Status, failure_from_error, split_hint
from mdstream_core.errors import MDStreamError, MissingExtra

_ALTERNATIVES = "or choose another --auth-type or --profile"


def check_credentials(check_context: CheckContext) -> Finding:
    """Which credential was found, and where."""
    try:
        found = resolve_credentials(check_context.endpoint_info, check_context.options)
    except MissingExtra as error:
        missing, _, hint = str(error).partition(": ")
        return Finding(Status.FAIL, missing, f"{hint}, {_ALTERNATIVES}")
    except (MissingCredential, UsageError) as error:
        return Finding(Status.FAIL, *split_hint(str(error), _ALTERNATIVES.removeprefix("or ")))
    except MDStreamError as error:
        return failure_from_error(error, _ALTERNATIVES.removeprefix("or "))
    unsigned = found.source.startswith("none")
    return Finding(
        Status.WARN if unsigned else Status.OK, found.source, facts={"found": found.source}, updates={"signing": found}
    )


def check_endpoint(check_context: CheckContext) -> Finding:
    """What the address means."""
    who, endpoint_info = check_context.credentials, check_context.endpoint_info
    region, url = (who.region, who.url) if who else (None, None)
    try:
        found = build_platform(endpoint_info, check_context.options, region, url)
    except UsageError as error:
        return Finding(Status.FAIL, *split_hint(str(error)), {"platform": endpoint_info.platform})
    text = f"{endpoint_info.platform} (known by {endpoint_info.matched_by}): {found.base_url}"
    facts = {"platform": endpoint_info.platform, "known_by": endpoint_info.matched_by, "url": found.base_url}
    learned = {"platform": found}
    if urlsplit(found.base_url).scheme in {"http", "ws"} and not _is_loopback(found.base_url):
        hint = "it is not encrypted: whoever is on the way can read and change it; is there an https://?"
        return Finding(Status.WARN, text, hint, facts, learned)
    return Finding(Status.OK, text, "", facts, learned)


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
