"""`fast_constructor` creates the same instances as the class itself."""

import copy
import pickle
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from mdstream_core import _frozen, events
from mdstream_core.http import ResponseHead

CLASSES = [
    events.Choice,
    events.Finish,
    events.ModelResponse,
    events.ResponseMetadata,
    events.TextDelta,
    events.ToolCallDelta,
    events.Usage,
    ResponseHead,
]


@pytest.mark.parametrize("cls", CLASSES)
def test_the_instance_is_one_of_the_class(cls: type[Any]) -> None:
    """It has the class, and equals an instance that the class itself has created."""
    values = [{} if field.name in {"service", "provider_data", "headers"} else 1 for field in fields(cls)]

    created = _frozen.fast_constructor(cls)(*values)

    assert type(created) is cls
    assert cls(*values) == created
    assert repr(cls(*values)) == repr(created)
    assert created == copy.deepcopy(created) == pickle.loads(pickle.dumps(created))


@pytest.mark.parametrize("cls", CLASSES)
def test_the_instance_is_frozen(cls: type[Any]) -> None:
    """Its fields cannot be set."""
    names = [field.name for field in fields(cls)]
    created = _frozen.fast_constructor(cls)(*names)

    with pytest.raises(FrozenInstanceError):
        setattr(created, names[0], "other")
    assert names[0] == getattr(created, names[0])
