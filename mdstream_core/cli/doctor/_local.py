"""Checks of what is on this machine: who signs, and what the address means."""

from urllib.parse import urlsplit

from mdstream_core.cli._parser import MissingCredential, Unusable
from mdstream_core.cli._places import platform
from mdstream_core.cli._signing import signing
from mdstream_core.cli.doctor._finding import Finding, Known, State, parted, wrong
from mdstream_core.errors import MDStreamError, MissingExtra

_OTHERS = "or choose another --auth-type or --profile"


def credentials(known: Known) -> Finding:
    """Which credential was found, and where."""
    try:
        found = signing(known.place, known.options)
    except MissingExtra as error:
        missing, _, cure = str(error).partition(": ")
        return Finding(State.WRONG, missing, f"{cure}, {_OTHERS}")
    except (MissingCredential, Unusable) as error:
        return Finding(State.WRONG, *parted(str(error), _OTHERS.removeprefix("or ")))
    except MDStreamError as error:
        return wrong(error, _OTHERS.removeprefix("or "))
    unsigned = found.found.startswith("none")
    return Finding(
        State.NOTE if unsigned else State.OK, found.found, facts={"found": found.found}, learned={"signing": found}
    )


def endpoint(known: Known) -> Finding:
    """What the address means."""
    who, place = known.signing, known.place
    region, url = (who.region, who.url) if who else (None, None)
    try:
        found = platform(place, known.options, region, url)
    except Unusable as error:
        return Finding(State.WRONG, *parted(str(error)), {"platform": place.platform})
    text = f"{place.platform} (known by {place.sign}): {found.base}"
    facts = {"platform": place.platform, "known_by": place.sign, "url": found.base}
    learned = {"platform": found}
    if urlsplit(found.base).scheme in {"http", "ws"} and not _is_here(found.base):
        cure = "it is not encrypted: whoever is on the way can read and change it; is there an https://?"
        return Finding(State.NOTE, text, cure, facts, learned)
    return Finding(State.OK, text, "", facts, learned)


def _is_here(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
