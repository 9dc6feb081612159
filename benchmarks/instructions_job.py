"""Count the instructions of one contender. `benchmarks.instructions` runs this module with callgrind."""

import asyncio
import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.callgrind import InstructionCounter
from benchmarks.contenders import Contender, Entry, NotInstalled
from benchmarks.measure import acheck, aread, check, ignore_unclosed, open_stream, read
from benchmarks.peers import without_ads
from benchmarks.source import Source

#: Texts of a short call.
SHORT = 20

#: Calls before the first count, because the interpreter specializes code that has run often.
_WARM_UP = 20

_SLOW_SECONDS = 0.1  # a short call that takes longer, under valgrind, is one of a slow contender

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class _Sizes:
    """How many calls are counted.

    Attributes:
        long: Texts of a long call; its difference to a short one is the cost of its additional chunks.
        long_calls: Number of long calls.
        few: Number of calls, and
        many: another one: their difference is the cost of the calls between.
    """

    long: int
    long_calls: int
    few: int
    many: int


_USUAL = _Sizes(1020, 3, 4, 14)
_SLOW = _Sizes(220, 1, 1, 3)
_QUICK = _Sizes(60, 1, 1, 2)


@dataclass(frozen=True, slots=True)
class _Contenders:
    """A contender for each kind of response."""

    short: Contender
    long: Contender
    whole: Contender
    sizes: _Sizes


def count_calls(entry: Entry, counter: InstructionCounter, port: int, *, quick: bool) -> Figures:
    """Count the instructions of each kind of call, sync and async, of a contender.

    All calls that are not counted are before the first count: they are many times as fast, as callgrind is still off.
    """
    short = entry.open(Source(port, "burst", SHORT))
    check(short, Source(port, "burst", SHORT).texts)
    for _ in range(_WARM_UP):
        read(short)
    started = process_time()
    read(short)
    sizes = _QUICK if quick else _SLOW if process_time() - started > _SLOW_SECONDS else _USUAL
    long = entry.open(Source(port, "burst", sizes.long))
    opened = _Contenders(short, long, entry.open(Source(port, "whole", SHORT)), sizes)
    check(long, Source(port, "burst", sizes.long).texts)
    if (complete := opened.whole.complete) is not None:
        for _ in range(_WARM_UP):
            complete()
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(ignore_unclosed)
        if short.astream is not None:
            runner.run(_warm_up_async(opened, port))
        figures = dict(_count_sync(counter, opened))
        if short.astream is not None:
            figures |= _count_async(counter, opened, runner)
    return figures


async def _warm_up_async(opened: _Contenders, port: int) -> None:
    for contender, texts in ((opened.short, SHORT), (opened.long, opened.sizes.long)):
        await acheck(contender, Source(port, "burst", texts).texts)
    for _ in range(_WARM_UP):
        await aread(opened.short)
        if opened.whole.acomplete is not None:
            await opened.whole.acomplete()


def _count_sync(counter: InstructionCounter, opened: _Contenders) -> Iterator[tuple[str, float]]:
    short, long, sizes = opened.short, opened.long, opened.sizes
    short_call = _per_call(counter, lambda calls: [read(short) for _ in range(calls)], sizes)
    yield "call", short_call
    long_call = counter.count(lambda: [read(long) for _ in range(sizes.long_calls)]) / sizes.long_calls
    yield "chunk", (long_call - short_call) / (sizes.long - SHORT)
    yield "first", _first(counter, short, sizes)
    if (complete := opened.whole.complete) is not None:
        yield "whole", _per_call(counter, lambda calls: [complete() for _ in range(calls)], sizes)


def _count_async(counter: InstructionCounter, opened: _Contenders, runner: asyncio.Runner) -> Figures:
    def repeat(function: Callable[[], Awaitable[Any]]) -> Callable[[int], Any]:
        async def run(calls: int) -> None:
            for _ in range(calls):
                await function()

        return lambda calls: runner.run(run(calls))

    short, long, sizes = opened.short, opened.long, opened.sizes
    short_call = _per_call(counter, repeat(lambda: aread(short)), sizes)
    figures = {"async call": short_call}
    read_long = repeat(lambda: aread(long))
    long_call = counter.count(lambda: read_long(sizes.long_calls)) / sizes.long_calls
    figures["async chunk"] = (long_call - short_call) / (sizes.long - SHORT)
    figures["async first"] = runner.run(_afirst(counter, short, sizes))
    if opened.whole.acomplete is not None:
        figures["async whole"] = _per_call(counter, repeat(opened.whole.acomplete), sizes)
    return figures


def _per_call(counter: InstructionCounter, run: Callable[[int], Any], sizes: _Sizes) -> float:
    """Count the instructions of one warm call. The first of two counts includes costs that occur once."""
    few, many = (
        min(counter.count(lambda: run(calls)) for _ in range(2))  # noqa: B023
        for calls in (sizes.few, sizes.many)
    )
    return (many - few) / (sizes.many - sizes.few)


def _first(counter: InstructionCounter, contender: Contender, sizes: _Sizes) -> float:
    """Count the instructions from the call to the first text."""
    counts = []
    for _ in range(sizes.many):
        counter.start()
        stream = iter(contender.stream())
        while not contender.text(next(stream)):
            pass
        counts.append(counter.stop())
        for _ in stream:
            pass
    return min(counts) - _overhead(counter)


async def _afirst(counter: InstructionCounter, contender: Contender, sizes: _Sizes) -> float:
    counts = []
    for _ in range(sizes.many):
        counter.start()
        stream = aiter(await open_stream(contender))
        while not contender.text(await anext(stream)):
            pass
        counts.append(counter.stop())
        async for _ in stream:
            pass
    return min(counts) - _overhead(counter)


def _overhead(counter: InstructionCounter) -> int:
    """The instructions of a count of nothing, which are a part of each single count."""
    return min(counter.count(lambda: None) for _ in range(3))


def count_import(counter: InstructionCounter, before: str, statement: str) -> Figures:
    """Count the instructions of an import, with those of the imports before it as `base`."""
    without_ads()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no download
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
            name, factory, port, *options = arguments
            result = count_calls(Entry(name, factory), counter, int(port), quick="quick" in options)
    except (NotInstalled, ModuleNotFoundError) as missing:
        result = {"missing": str(missing)}
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
