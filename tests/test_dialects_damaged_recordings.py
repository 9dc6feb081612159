"""Damaged recordings end in a response or an mdstream error."""

import json
import random
from typing import Any

import pytest
from _samples import names, read, sample

from mdstream_core.wire.sse import encode

STREAMS = [name for name in names() if sample(name).head.status == 200]
JUNK: list[Any] = [None, True, 0, -1, 1.5, "", "x", [], [1], ["x"], {}, {"x": 1}, [[]], [None], {"content": 5}, 1e400]


def damaged(body: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, left out, doubled or put elsewhere."""
    for _ in range(chance.randrange(1, 5)):
        at, to = sorted(chance.randrange(len(body)) for _ in range(2))
        piece = body[at : min(to, at + 40)]
        body = chance.choice([body[:at] + chance.randbytes(3) + body[at:], body[:at] + body[at + len(piece) :], body[:at] + piece + body[at:], body[:to]]) or b"x"  # fmt: skip
    return body


def misshapen(value: Any, chance: random.Random) -> Any:
    """Replace some values of a document by values of other types."""
    if chance.random() < 0.06:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        return {key: misshapen(part, chance) for key, part in value.items() if chance.random() > 0.02}
    if isinstance(value, list):
        return [misshapen(part, chance) for part in value]
    return value


@pytest.mark.parametrize("name", STREAMS)
def test_damaged_bytes_end_in_a_response_or_an_mdstream_error(name: str) -> None:
    """No exception of another kind, and the partial has the events that were returned."""
    chance = random.Random(name)
    head, body = sample(name)
    for _ in range(20):
        outcome = read(damaged(body, chance), head, step=chance.choice([7, 100, 4096]))
        assert outcome.error is None or (outcome.error.partial or outcome.model_response) == outcome.model_response


@pytest.mark.parametrize("name", STREAMS)
def test_misshapen_payloads_end_in_a_response_or_an_mdstream_error(name: str) -> None:
    """Valid JSON of an unexpected shape; the events can be accumulated and serialized."""
    chance = random.Random(name)
    head, body = sample(name)
    payloads = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    for _ in range(20):
        wire = b"".join(encode(json.dumps(misshapen(payload, chance)).encode()) for payload in payloads)
        outcome = read(wire, head)
        json.dumps(outcome.model_response.to_dict())
        assert all(isinstance(choice.text, str) for choice in outcome.model_response.choices)
        assert outcome.error is None or json.dumps(outcome.error.response.json())
