"""Columns that a process unpickles: those of the same model share it, its connections and the limit of requests."""

import asyncio
import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from _rows import FRAMEWORKS, chat_of, embeddings_of, emulator_of_rows

from mdstream_core.batch import EmbedColumn, GenerateColumn
from mdstream_core.batching.unpickled import MAX_OBJECTS, SharedObjects
from mdstream_core.emulator import Emulator
from mdstream_core.hooks import CallEvent

in_both = pytest.mark.parametrize("framework", FRAMEWORKS)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator of the test."""
    with emulator_of_rows() as emulator:
        yield emulator


@in_both
def test_unpickled_columns_share_connections(framework: str, emulator: Emulator) -> None:
    """
    A task that unpickles the column of an earlier task opens no connection.
    """
    batch = {"prompt": ["Rome", "Paris", "Oslo"]}
    for column in (
        GenerateColumn(chat_of(framework, emulator), "prompt", max_concurrency=1),
        EmbedColumn(embeddings_of(framework, emulator), "prompt", max_concurrency=1),
    ):
        data = pickle.dumps(column)
        before = emulator.connections
        outputs = [pickle.loads(data)(batch) for _ in range(3)]

        assert before + 1 == emulator.connections
        assert [[None] * 3] * 3 == [out["error"] for out in outputs]


@in_both
def test_unpickled_columns_share_the_limit(framework: str, emulator: Emulator) -> None:
    """
    `max_concurrency` holds for the tasks of a process together, as the documentation of the column states.
    """
    data = pickle.dumps(GenerateColumn(chat_of(framework, emulator), "prompt", max_concurrency=3))
    first, second = pickle.loads(data), pickle.loads(data)
    other = pickle.loads(pickle.dumps(GenerateColumn(chat_of(framework, emulator), "prompt", max_concurrency=4)))

    async def limits() -> list[Any]:
        return [column._limiter.tasks for column in (first, second, other)]

    one, same, different = asyncio.run(limits())
    assert one is same
    assert one is not different
    assert (3, 4) == (one.total_tokens, different.total_tokens)


@in_both
def test_other_models_are_not_shared(framework: str, emulator: Emulator) -> None:
    """
    A different field is a different model; and the column that was pickled keeps its own.
    """
    column = GenerateColumn(chat_of(framework, emulator, temperature=0.0), "prompt")
    loaded = pickle.loads(pickle.dumps(column))
    other = pickle.loads(pickle.dumps(GenerateColumn(chat_of(framework, emulator, temperature=1.0), "prompt")))

    assert 3 == len({id(each.model) for each in (column, loaded, other)})
    assert (0.0, 1.0) == (loaded.model.temperature, other.model.temperature)


@in_both
def test_a_copy_works(framework: str, emulator: Emulator) -> None:
    """
    Also where pickle cannot serialize the model, which is then not shared.
    """
    events: list[CallEvent] = []

    def record(event: CallEvent) -> None:
        events.append(event)

    column = GenerateColumn(chat_of(framework, emulator, hooks=[record]), "prompt")
    copied = copy.copy(column)

    assert ["You said: Rome"] == copied({"prompt": ["Rome"]})["answer"]
    assert events
    assert copied.model is column.model


def test_shared_objects_are_bounded() -> None:
    """
    Those that were not used for the longest time are forgotten.
    """
    shared = SharedObjects()
    first = shared.share(0, ["first"])
    for key in range(1, MAX_OBJECTS):
        shared.share(key, [key])

    assert shared.share(0, ["another"]) is first
    shared.share(MAX_OBJECTS, ["new"])
    assert shared.share(0, ["another"]) is first
    assert ["again"] == shared.share(1, ["again"])


def test_nothing_is_shared_without_a_key() -> None:
    """
    Each object is returned as it is.
    """
    shared = SharedObjects()
    first: list[int] = []

    assert shared.share(None, first) is first
    assert shared.share(None, []) is not first
