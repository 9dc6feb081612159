"""Embed an iterable with the models of both frameworks, in every style: threads, asyncio, trio."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, closing
from typing import Any

import trio

#: What a test does with each result; it may raise.
OnResult = Callable[[int, Any], None]


def embed(model: Any, texts: Iterable[str], on_result: OnResult = lambda index, vector: None, **options: Any) -> Any:
    """All results of `embed_stream`."""
    results = []
    with closing(model.embed_stream(texts, **options)) as stream:
        for index, vector in stream:
            on_result(index, vector)
            results.append((index, vector))
    return results


async def aembed(model: Any, texts: Any, on_result: OnResult = lambda index, vector: None, **options: Any) -> Any:
    """All results of `aembed_stream`."""
    results = []
    async with aclosing(model.aembed_stream(texts, **options)) as stream:
        async for index, vector in stream:
            on_result(index, vector)
            results.append((index, vector))
    return results


def _on_asyncio(model: Any, texts: Any, *arguments: Any, **options: Any) -> Any:
    async def main() -> Any:
        try:
            return await aembed(model, texts, *arguments, **options)
        finally:
            assert 1 == len(asyncio.all_tasks())
            await model.aclose()

    return asyncio.run(main())


def _on_trio(model: Any, texts: Any, *arguments: Any, **options: Any) -> Any:
    async def main() -> Any:
        try:
            return await aembed(model, texts, *arguments, **options)
        finally:
            await model.aclose()

    return trio.run(main)


#: Each style, as a function like `embed`.
STYLES: dict[str, Callable[..., Any]] = {"threads": embed, "asyncio": _on_asyncio, "trio": _on_trio}


def counted(count: int, read: list[int] | None = None) -> Iterator[str]:
    """So many texts; `read` receives the number of each that is read."""
    for number in range(count):
        if read is not None:
            read.append(number)
        yield f"text number {number}"


async def acounted(count: int) -> AsyncIterator[str]:
    """An async iterable of texts."""
    for text in counted(count):
        yield text


def worker_threads() -> list[str]:
    """The names of the running threads that send requests."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("mdstream_")]
