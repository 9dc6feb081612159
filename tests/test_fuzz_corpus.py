"""The corpus of the fuzz harness, replayed: each file once made a reader raise something foreign, or is a seed.

`make fuzz MINUTES=10` bends these files and adds what it finds.
"""

import random

import pytest
from _fuzz_inputs import bent, corpus, seeds
from _fuzz_targets import FAMILIES, Finding, examine

from mdstream_core import _json
from mdstream_core.errors import StreamFailure

FILES = [(family, target, name, data) for family in FAMILIES for target, name, data in corpus(family)]


@pytest.mark.parametrize(("family", "target", "name", "data"), FILES, ids=[f"{file[0]}/{file[2]}" for file in FILES])
def test_a_file_of_the_corpus_is_read_or_an_error_of_ours(family: str, target: str, name: str, data: bytes) -> None:
    """
    Nothing foreign comes out, and every error can be pickled and copied; with each of the two JSON parsers.
    """
    examine(FAMILIES[family][target], data)
    examine(FAMILIES[family][target], data + b" ")  # another checksum: the other parser


@pytest.mark.parametrize("family", FAMILIES)
def test_every_target_has_an_input_and_reads_bent_ones(family: str) -> None:
    """
    Each family has a corpus, and a few hundred bent inputs of fixed seeds are read.
    """
    chance, known = random.Random(7), seeds(family)

    assert any(known.values())
    for target, inputs in known.items():
        for _ in range(max(3, 60 // len(known))):
            examine(FAMILIES[family][target], bent(chance.choice(inputs), chance, inputs))


def test_the_harness_reports_what_is_wrong() -> None:
    """
    A foreign exception comes out of `examine` as it is; an error that is no copy of itself is a finding.
    """

    class Lost(StreamFailure):
        def __reduce__(self) -> tuple[type[StreamFailure], tuple[str]]:
            return StreamFailure, ("another",)

    def foreign(_: bytes) -> None:
        raise KeyError("a")

    def lost(_: bytes) -> None:
        raise Lost("one")

    with pytest.raises(KeyError):
        examine(foreign, b"")
    with pytest.raises(Finding, match="differs"):
        examine(lost, b"")
    assert _json.parse(b"1") == 1
