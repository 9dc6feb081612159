"""The form of error messages: what happened, facts, and one pair of parentheses with hints at the end."""

import re

_HINT = re.compile(r"(.+) \(hint: (.+)\)", re.DOTALL)


def split_hint(message: str) -> tuple[str, str]:
    """Split an error message into what happened and the hint at its end; the hint is empty if there is none.

    >>> split_hint("--port 99999: out of range (hint: use 0 to 65535)")
    ('--port 99999: out of range', 'use 0 to 65535')
    """
    match = _HINT.fullmatch(message)
    return (match[1], match[2]) if match else (message, "")


def extend_message(message: str, *, fact: str = "", hint: str = "") -> str:
    """Add a fact and a hint to an error message, which keeps a single pair of parentheses at its end.

    >>> extend_message("429: too many (hint: wait)", fact="not retried", hint="send fewer")
    '429: too many; not retried (hint: wait; send fewer)'
    """
    text, own_hint = split_hint(message)
    text, hints = "; ".join(filter(None, (text, fact))), "; ".join(filter(None, (own_hint, hint)))
    return f"{text} (hint: {hints})" if hints else text
