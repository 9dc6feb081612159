"""Count the instructions of one contender. `benchmarks.instructions` runs this module with callgrind."""

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.callgrind import InstructionCounter
from benchmarks.contenders import Contender, Entry, NotInstalled
from benchmarks.measure import acheck, aread, check, ignore_unclosed, open_stream, read
from benchmarks.source import Source

#: Texts of a short call and of a long one: their difference is the cost of a chunk.
SHORT, LONG = 20, 1020

#: Calls before the first count, because the interpreter specializes code that has run often, and the two numbers of
#: calls whose difference is the cost of one.
_WARM_UP, _FEW, _MANY = 20, 4, 14

_LONG_CALLS = 3

Figures = dict[str, float]


def count_calls(entry: Entry, counter: InstructionCounter, port: int) -> Figures:
    """Count the instructions of each kind of call, sync and async, of a contender."""
    short = entry.open(Source(port, "burst", SHORT))
    long = entry.open(Source(port, "burst", LONG))
    whole = entry.open(Source(port, "whole", SHORT))
    figures = dict(_count_sync(counter, port, short, long, whole))
    if short.astream is not None:
        with asyncio.Runner() as runner:
            runner.get_loop().set_exception_handler(ignore_unclosed)
            figures |= _count_async(counter, port, runner, short, long, whole)
    return figures


def _count_sync(
    counter: InstructionCounter, port: int, short: Contender, long: Contender, whole: Contender
) -> Iterator[tuple[str, float]]:
    for contender, texts in ((short, SHORT), (long, LONG)):
        check(contender, Source(port, "burst", texts).texts)
    short_call = _per_call(counter, lambda calls: [read(short) for _ in range(calls)])
    yield "call", short_call
    read(long)
    yield (
        "chunk",
        (counter.count(lambda: [read(long) for _ in range(_LONG_CALLS)]) / _LONG_CALLS - short_call) / (LONG - SHORT),
    )
    yield "first", _first(counter, short)
    if (complete := whole.complete) is not None:
        yield "whole", _per_call(counter, lambda calls: [complete() for _ in range(calls)])


def _count_async(
    counter: InstructionCounter,
    port: int,
    runner: asyncio.Runner,
    short: Contender,
    long: Contender,
    whole: Contender,
) -> Figures:
    def repeat(function: Callable[[], Awaitable[Any]]) -> Callable[[int], Any]:
        async def run(calls: int) -> None:
            for _ in range(calls):
                await function()

        return lambda calls: runner.run(run(calls))

    for contender, texts in ((short, SHORT), (long, LONG)):
        runner.run(acheck(contender, Source(port, "burst", texts).texts))
    short_call = _per_call(counter, repeat(lambda: aread(short)))
    figures = {"async call": short_call}
    read_long = repeat(lambda: aread(long))
    long_call = counter.count(lambda: read_long(_LONG_CALLS)) / _LONG_CALLS
    figures["async chunk"] = (long_call - short_call) / (LONG - SHORT)
    figures["async first"] = runner.run(_afirst(counter, short))
    if whole.acomplete is not None:
        figures["async whole"] = _per_call(counter, repeat(whole.acomplete))
    return figures


def _per_call(counter: InstructionCounter, run: Callable[[int], Any]) -> float:
    """Count the instructions of one warm call. The first count includes costs that occur once."""
    run(_WARM_UP)
    few, many = (min(counter.count(lambda: run(calls)) for _ in range(2)) for calls in (_FEW, _MANY))  # noqa: B023
    return (many - few) / (_MANY - _FEW)


def _first(counter: InstructionCounter, contender: Contender) -> float:
    """Count the instructions from the call to the first text."""
    counts = []
    for _ in range(_MANY):
        counter.start()
        stream = iter(contender.stream())
        while not contender.text(next(stream)):
            pass
        counts.append(counter.stop())
        for _ in stream:
            pass
    return min(counts)


async def _afirst(counter: InstructionCounter, contender: Contender) -> float:
    counts = []
    for _ in range(_MANY):
        counter.start()
        stream = aiter(await open_stream(contender))
        while not contender.text(await anext(stream)):
            pass
        counts.append(counter.stop())
        async for _ in stream:
            pass
    return min(counts)


def count_import(counter: InstructionCounter, before: str, statement: str) -> Figures:
    """Count the instructions of an import, with those of the imports before it as `base`."""
    base = counter.count(lambda: [import_module(name) for name in before.split()])
    return {"base": base, "import": counter.count(lambda: exec(statement, {}))}


def main(dumps: str, job: str, *arguments: str) -> None:
    """Print the figures as one line of JSON."""
    counter = InstructionCounter(Path(dumps))
    gc.disable()
    try:
        if job == "import":
            result: Any = count_import(counter, *arguments)
        else:
            name, factory, port = arguments
            result = count_calls(Entry(name, factory), counter, int(port))
    except (NotInstalled, ModuleNotFoundError) as missing:
        result = {"missing": str(missing)}
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
