"""Inputs of the fuzz harness: the corpus, recorded samples, and mutations of bytes and of JSON values."""

import json
import random
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _fuzz_targets import FAMILIES
from _samples import names, sample

CORPUS = Path(__file__).parent / "corpus"

#: Maximum size of an input in bytes.
MAX_BYTES = 64 * 1024


def corpus(family: str) -> Iterator[tuple[str, str, bytes]]:
    """Yield target, file name and content of each file `corpus/<family>/<target>.<description>`."""
    for path in sorted((CORPUS / family).glob("*")):
        yield path.name.partition(".")[0], path.name, path.read_bytes()


def seeds(family: str) -> dict[str, list[bytes]]:
    """Return the inputs to mutate by target: the files of the family, and recordings of a suitable format."""
    inputs_by_target: dict[str, list[bytes]] = {target: [] for target in FAMILIES[family]}
    shared = [data for _, _, data in corpus(family)]
    recorded = _recorded(family)
    for target, inputs in inputs_by_target.items():
        inputs += [data for name, _, data in corpus(family) if name == target]
        inputs += shared + recorded
    return inputs_by_target


def _recorded(family: str) -> list[bytes]:
    """Return the bodies of the recordings in the format of this family."""
    bodies = [sample(name).body[:MAX_BYTES] for name in names()]
    if family in {"wire", "attempts", "bodies", "json"}:
        return [body for body in bodies if body]
    if family == "dialects":
        return [b"\n".join(_PAYLOAD.findall(body)) for body in bodies if b"data:" in body]
    if family == "coding":
        return [zlib.compress(body, wbits=bits) for body in bodies[:8] for bits in (15, -15, 31)]
    return []


_PAYLOAD = re.compile(rb"^data: ?(.*?)\r?$", re.MULTILINE)

#: Texts that may break parsers.
_TEXTS = (
    *("", " ", "null", "None", "NaN", "[DONE]", "error", "stop", "length", "tool_calls", "\x00", "\ufeff", "\u2028"),
    *("9" * 5000, "-1", "1e400", "2026-01-01T00:00:00Z", "99999-12-31T23:59:59Z", "٣٤٥", "<tool_call>", "[TOOL_CALLS]"),
    *(
        '{"name": "f", "arguments": {',
        '{"error": {"code": 400, "message": "x"}}',
        "<html><title>x",
        "UklGR",
        "😀",
        "é" * 99,
    ),
)

#: JSON that Python values cannot represent; it replaces a placeholder.
_RAW = (
    *("9" * 400, "9" * 5000, "-1e400", "NaN", "Infinity", '"\\ud83d"', '"\\ude00x"', '"\\u0000"', "1" + "0" * 400),
    *(
        "[" * 300 + "]" * 300,
        "[" * 1500 + "]" * 1500,
        '{"a":' * 300 + "1" + "}" * 300,
        '{"error":' * 999 + "{}" + "}" * 999,
    ),
)

_VALUES: tuple[Callable[[random.Random], Any], ...] = (
    lambda chance: chance.choice(
        [None, True, False, [], {}, [[]], [{}], {"": {}}, [None], 0, -1, 1.5, 1e308, 2**63, 2**70]
    ),
    lambda chance: chance.choice(_TEXTS),
    lambda chance: f"@@RAW{chance.randrange(len(_RAW))}@@",
    lambda chance: {chance.choice(_NAMES): chance.choice(_TEXTS) for _ in range(3)},
    lambda chance: [chance.choice(_TEXTS)] * chance.choice([1, 50]),
)

#: Names of fields that the parsers read.
_NAMES = tuple(
    "choices delta message content text finish_reason finishReason index tool_calls toolCalls function name arguments id usage "
    "prompt_tokens error code status detail details type audio data transcript images annotations citations logprobs "
    "token generated_text outputs generation reasoning_content refusal chatResponse apiFormat embedding results score exp "
    "expires_at issued_at ErrorCode OriginalStatusCode OriginalMessage error_msg loc msg top_logprobs model object".split()
)


def mutate(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Apply one to four mutations to an input."""
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(_MUTATIONS)(data, chance, others)[:MAX_BYTES]
    return data


def _flip(data: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if changed:
            changed[chance.randrange(len(changed))] = chance.choice(
                [0, 10, 13, 34, 92, 123, 125, 255, chance.randrange(256)]
            )
    return bytes(changed)


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, min(len(data), start + chance.choice([1, 4, 30, 300]))


def _drop(data: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + data[end:]


def _repeat(data: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    start, end = _span(data, chance)
    return data[:end] + data[start:end] * chance.choice([1, 2, 100]) + data[end:]


def _truncate(data: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    return data[: chance.randint(0, len(data))]


def _splice(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    other = chance.choice(others) if others else b""
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _insert(data: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    position = chance.randint(0, len(data))
    text = chance.choice([*_TEXTS, *_RAW]).encode("utf-8", "surrogatepass")
    return data[:position] + text + data[position:]


def _json(data: bytes, chance: random.Random, _: list[bytes]) -> bytes:
    """Change a value in one of the JSON documents, each of which is a line, or follows `data:`."""
    lines = data.split(b"\n")
    positions = [
        index for index, line in enumerate(lines) if line.lstrip().removeprefix(b"data:").lstrip()[:1] in (b"{", b"[")
    ]
    if not positions:
        return data
    index = chance.choice(positions)
    prefix = b"data: " if lines[index].lstrip().startswith(b"data:") else b""
    try:
        document = json.loads(lines[index].lstrip().removeprefix(b"data:"))
    except (ValueError, RecursionError):
        return data
    document = _change(document, chance)
    text = json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    lines[index] = prefix + _PLACEHOLDER.sub(lambda match: _RAW[int(match[1])].encode(), text)
    return b"\n".join(lines)


_PLACEHOLDER = re.compile(rb'"@@RAW(\d+)@@"')


def _change(value: Any, chance: random.Random) -> Any:
    """Replace the value or one inside it."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        match chance.randrange(8):
            case 0:
                return {**value, chance.choice(_NAMES): chance.choice(_VALUES)(chance)}
            case 1:
                return {other: one for other, one in value.items() if other != name}
            case _:
                return {**value, name: _change(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        index = chance.randrange(len(value))
        if chance.random() < 0.1:
            return value * chance.choice([2, 30])
        return [*value[:index], _change(value[index], chance), *value[index + 1 :]]
    return chance.choice(_VALUES)(chance)


_MUTATIONS = (_flip, _drop, _repeat, _truncate, _splice, _insert, _json, _json, _json, _json, _json)
