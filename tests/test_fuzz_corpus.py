"""Replay of the fuzz corpus, whose files once made a parser raise a foreign error, or are seeds.

`make fuzz MINUTES=10` mutates these files and adds its findings.
"""

import random

import pytest
from _fuzz_inputs import corpus, mutate, seeds
from _fuzz_targets import FAMILIES, Finding, examine

from mdstream_core import _json
from mdstream_core.errors import StreamFailure

FILES = [(family, target, name, data) for family in FAMILIES for target, name, data in corpus(family)]


@pytest.mark.parametrize(("family", "target", "name", "data"), FILES, ids=[f"{file[0]}/{file[2]}" for file in FILES])
def test_a_corpus_file_is_decoded_or_raises_an_mdstream_error(family: str, target: str, name: str, data: bytes) -> None:
    """
    Every error can be pickled and copied; with both JSON parsers.
    """
    examine(FAMILIES[family][target], data)
    examine(FAMILIES[family][target], data + b" ")  # another checksum selects the other parser


@pytest.mark.parametrize("family", FAMILIES)
def test_every_target_decodes_mutated_inputs(family: str) -> None:
    """
    A few hundred mutated inputs with a fixed seed; each family has a corpus.
    """
    chance, inputs_by_target = random.Random(7), seeds(family)

    assert any(inputs_by_target.values())
    for target, inputs in inputs_by_target.items():
        for _ in range(max(3, 60 // len(inputs_by_target))):
            examine(FAMILIES[family][target], mutate(chance.choice(inputs), chance, inputs))


def test_the_harness_reports_findings() -> None:
    """
    `examine` raises foreign exceptions unchanged; an error whose copy differs is a finding.
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
