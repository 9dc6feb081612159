"""Ask for minutes on end, well and badly, and see that nothing grows: `python tools/soak.py 20` (minutes).

The server, an emulator that fails in every way, runs in a process of its own, so that memory and file descriptors are
the client's. Threads and tasks ask four platforms through LangChain and LlamaIndex: whole calls, streams, streams that
are left in the middle, tasks that are cancelled, and a server that is killed and started again. After each round all is
joined and collected, and the process is measured. Exit code 1 if an error is not ours or if something grew.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import random
import resource
import stat
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing, closing
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import linear_regression
from typing import Any

from mdstream_core.errors import MDStreamError

ROUND = 10.0  #: seconds of a round, or a tenth of the time
THREADS, TASKS = 4, 8
LIFE = 40  #: calls that a model object lives for
REQUEST = "Name three rivers."

# What counts as flat.
MAX_SLOPES = {"blocks": 200.0, "rss": 64.0}  #: per 1,000 calls, over the second half; `rss` in KB
MIN_ROUNDS = 12  #: fewer rounds say nothing about a slope
SPARE = {"fds": 4, "sockets": 2, "threads": 2, "tasks": 0}  #: above the lowest value after the warm-up


# the server


def serve(port: int) -> None:
    """Run the emulator, with other faults every second, until standard input ends."""
    from mdstream_core.emulator import Emulator, Fault  # noqa: PLC0415  (the client's process has no emulator)

    faults = [
        *[None] * 9, Fault("trailer", after=3), Fault("trailer"), Fault("cut", after=3), Fault("reset", after=3),
        Fault("error_event", "vllm", after=3), Fault("refuse", "lb_bandwidth"), Fault("refuse", status=500),
        Fault("refuse", status=401), Fault("drop"), Fault("drop_reset"), Fault("close"), Fault("no_finish", after=3),
        Fault("malformed_json", after=3), Fault("hold", after=2, seconds=0.05), Fault("html"), Fault("empty"),
        Fault("stall", after=3), Fault("encoded", "gzip"), Fault("keepalive_comments", "vllm"),
    ]  # fmt: skip
    with Emulator(port=port) as emulator:
        there = emulator.oci_generative_ai
        print(json.dumps({
            "port": int(emulator.url.rpartition(":")[2]), "oci": emulator.endpoint, "genai": there.endpoint,
            "compartment": there.compartment_id, "sagemaker": emulator.sagemaker.endpoint_url,
            "endpoint_name": emulator.sagemaker.endpoint_name, "modelarts": emulator.modelarts.endpoint,
            "websocket": emulator.modelarts.websocket_endpoint,
        }), flush=True)  # fmt: skip
        threading.Thread(target=_until_end, daemon=True).start()
        while True:
            emulator.reset()
            emulator.script(*random.choices(faults, k=2_000))
            time.sleep(1)


def _until_end() -> None:
    sys.stdin.read()  # the client is gone
    os._exit(0)


class Server:
    """The emulator's process, which can be killed and started again at the same port."""

    def __init__(self) -> None:
        self.platforms: dict[str, Any] = {"port": 0}
        self.start()

    def start(self) -> None:
        """Start it; it knows its addresses then."""
        command = [sys.executable, __file__, "--serve", str(self.platforms["port"])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.platforms = json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        """Kill it in the middle of whatever it says."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def restart(self) -> None:
        """Kill it, leave clients alone for a moment, and start it."""
        self.stop()
        time.sleep(0.3)
        self.start()


# the client


def fields_of(platforms: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The constructors' fields, by platform."""
    oci = {"service_endpoint": platforms["genai"], "compartment_id": platforms["compartment"], "auth_type": "none"}
    aws = {"aws_access_key_id": "AK", "aws_secret_access_key": "SK", "region_name": "us-east-1"}
    return {
        "oci-model-deployment": {"endpoint": platforms["oci"], "auth_type": "none"},
        "oci-genai": {**oci, "model": "xai.grok-4"},
        "sagemaker": {"endpoint_name": platforms["endpoint_name"], "endpoint_url": platforms["sagemaker"], **aws},
        "modelarts": {"endpoint": platforms["modelarts"], "model": "odsc-llm", "auth_type": "none"},
        "modelarts-websocket": {"endpoint": platforms["websocket"], "model": "odsc-llm", "auth_type": "none"},
    }


def build_models(platforms: dict[str, Any], chance: random.Random) -> tuple[Any, Any]:
    """A platform's model of LangChain and one of LlamaIndex."""
    from langchain_mdstream import (  # noqa: PLC0415
        ChatModelArts,
        ChatOCIGenAI,
        ChatOCIModelDeployment,
        ChatSagemakerEndpoint,
    )
    from llamaindex_mdstream import ModelArts, OCIDataScience, OCIGenAI, SageMakerLLM  # noqa: PLC0415

    kinds: dict[str, tuple[Any, Any]] = {
        "oci-model-deployment": (ChatOCIModelDeployment, OCIDataScience),
        "oci-genai": (ChatOCIGenAI, OCIGenAI),
        "sagemaker": (ChatSagemakerEndpoint, SageMakerLLM),
        "modelarts": (ChatModelArts, ModelArts),
        "modelarts-websocket": (ChatModelArts, ModelArts),
    }
    platform, given = chance.choice(sorted(fields_of(platforms).items()))
    timeout = {"connect": 2, "read": 0.4, "total": 5}
    options = {**given, "timeout": timeout, "max_retries": chance.choice([0, 0, 0, 1])}
    chat, llm = kinds[platform]
    return chat(**options), llm(**options)


@dataclass
class Tally:
    """What came of the calls; threads and tasks add to it."""

    calls: int = 0
    outcomes: Counter[str] = None  # type: ignore[assignment]
    foreign: list[str] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.outcomes, self.foreign = Counter(), []

    def add(self, outcome: str) -> None:
        """Count one call."""
        self.calls += 1
        self.outcomes[outcome] += 1

    def add_error(self, error: Exception) -> None:
        """Count a call that failed; what is not our error is a finding."""
        self.add(type(error).__name__)
        if not isinstance(error, MDStreamError):
            self.foreign.append(f"{type(error).__name__}: {str(error)[:200]}")


def call(models: tuple[Any, Any], chance: random.Random) -> str:
    """One synchronous call in one of the ways; what came of it."""
    from llama_index.core.llms import ChatMessage  # noqa: PLC0415

    chat, llm = models
    messages = [ChatMessage(REQUEST)]
    call_method = chance.randrange(6)
    if call_method == 0:
        return "whole" if chat.invoke(REQUEST).text else "empty"
    if call_method == 1:
        return "whole" if llm.chat(messages).message.content else "empty"
    with closing(chat.stream(REQUEST) if call_method < 4 else llm.stream_chat(messages)) as stream:
        for number, _ in enumerate(stream):
            if call_method in {3, 5} and number >= chance.randrange(4):
                return "left"
    return "streamed"


async def acall(models: tuple[Any, Any], chance: random.Random) -> str:
    """One asynchronous call in one of the ways; what came of it."""
    from llama_index.core.llms import ChatMessage  # noqa: PLC0415

    chat, llm = models
    messages = [ChatMessage(REQUEST)]
    call_method = chance.randrange(6)
    if call_method == 0:
        return "whole" if (await chat.ainvoke(REQUEST)).text else "empty"
    if call_method == 1:
        return "whole" if (await llm.achat(messages)).message.content else "empty"
    stream: Any = chat.astream(REQUEST) if call_method < 4 else await llm.astream_chat(messages)
    number = 0
    async with aclosing(stream):
        async for _ in stream:
            number += 1
            if call_method in {3, 5} and number > chance.randrange(4):
                return "left"
    return "streamed"


def work(server: Server, tally: Tally, until: float, seed: int) -> None:
    """A thread that asks until the time is over."""
    chance = random.Random(seed)
    while time.monotonic() < until:
        models = build_models(server.platforms, chance)
        try:
            for _ in range(LIFE):
                if time.monotonic() > until:
                    break
                try:
                    tally.add(call(models, chance))
                except Exception as error:  # noqa: BLE001  (whatever it is, it is counted)
                    tally.add_error(error)
        finally:
            models[0].close()
            models[1].close()


async def awork(server: Server, tally: Tally, until: float, seed: int) -> None:
    """A task that asks until the time is over, and cancels every seventh call."""
    chance = random.Random(seed)
    while time.monotonic() < until:
        models = build_models(server.platforms, chance)
        try:
            for number in range(LIFE):
                if time.monotonic() > until:
                    break
                await _one(models, chance, tally, cancel=number % 7 == 0)
        finally:
            await models[0].aclose()
            await models[1].aclose()


async def _one(models: tuple[Any, Any], chance: random.Random, tally: Tally, *, cancel: bool) -> None:
    task = asyncio.ensure_future(acall(models, chance))
    if cancel:
        await asyncio.sleep(chance.random() ** 2 / 50)
        task.cancel()
    try:
        tally.add(await task)
    except asyncio.CancelledError:
        tally.add("cancelled")
    except Exception as error:  # noqa: BLE001  (whatever it is, it is counted)
        tally.add_error(error)


async def run_tasks(server: Server, tally: Tally, until: float, seed: int) -> None:
    """All tasks on one loop."""
    await asyncio.gather(*(awork(server, tally, until, seed + n) for n in range(TASKS)))


def run_round(server: Server, tally: Tally, seconds: float, number: int) -> None:
    """Threads, and a loop of their own for the tasks; every third round the server is killed in the middle."""
    until, seed = time.monotonic() + seconds, 1_000 * number
    threads = [threading.Thread(target=work, args=(server, tally, until, seed + 100 + n)) for n in range(THREADS)]
    threads.append(threading.Thread(target=lambda: asyncio.run(run_tasks(server, tally, until, seed))))
    for thread in threads:
        thread.start()
    if number % 3 == 2:
        time.sleep(seconds / 2)
        server.restart()
    for thread in threads:
        thread.join()


# the measurements


@dataclass(frozen=True)
class Sample:
    """The process after a round, when nothing runs."""

    seconds: float
    calls: int
    rss: float | None  #: KB; `None` where the system does not say
    blocks: int  #: blocks of memory that Python's objects take: unlike `rss` it knows no fragmentation
    fds: int
    sockets: int
    threads: int
    tasks: int


def measure(begun: float, calls: int) -> Sample:
    """Collect, and look."""
    for _ in range(3):
        gc.collect()
    _trim()
    tasks = sum(isinstance(one, asyncio.Task) and not one.done() for one in gc.get_objects())
    descriptors = _descriptors()
    sockets = sum(stat.S_ISSOCK(mode) for mode in descriptors)
    return Sample(
        time.monotonic() - begun,
        calls,
        _resident(),
        sys.getallocatedblocks(),
        len(descriptors),
        sockets,
        threading.active_count(),
        tasks,
    )


def _trim() -> None:
    """Let glibc give back what is free: many threads and TLS contexts leave its arenas in pieces, which is no leak."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _resident() -> float | None:
    """Resident memory in KB. macOS has no /proc, and its `ru_maxrss` is the peak, which never falls: no slope there."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() / 1024 if statm.exists() else None


def _descriptors() -> list[int]:
    """The modes of all open files (`/dev/fd` is there on Linux and macOS)."""
    modes = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  (a `Path` would be read while it is open)
        try:
            modes.append(os.fstat(int(name)).st_mode)
        except OSError:  # the one that listed them
            continue
    return modes


def judge(samples: list[Sample]) -> list[str]:
    """What grew, in words; nothing where all is flat. The first third warms up."""
    warm = samples[len(samples) // 3 :]
    found = []
    for name, spare in SPARE.items():
        values = [getattr(sample, name) for sample in warm]
        if values[-1] > min(values) + spare:
            found.append(f"{name}: {min(values)} after the warm-up, {values[-1]} at the end")
    for name, most in MAX_SLOPES.items():
        half = [sample for sample in samples[len(samples) // 2 :] if getattr(sample, name) is not None]
        if len(half) < MIN_ROUNDS // 2:
            print(f"{name} is not judged: {len(half)} samples are too few for a slope")
            continue
        slope = linear_regression([s.calls / 1_000 for s in half], [float(getattr(s, name)) for s in half]).slope
        print(f"{name}: {slope:+.1f} per 1,000 calls over the second half ({most:.0f} allowed)")
        if slope > most:
            found.append(f"{name}: {slope:.1f} more with every 1,000 calls")
    return found


def show(samples: list[Sample]) -> None:
    """A table, of 20 lines at most."""
    names = [field.name for field in fields(Sample)]
    print(" ".join(f"{name:>9}" for name in names))
    step = max(1, -(-len(samples) // 20))
    for sample in samples[::-1][::step][::-1]:
        print(" ".join(f"{'-' if value is None else format(value, '.0f'):>9}" for value in map(_of(sample), names)))


def _of(sample: Sample) -> Callable[[str], Any]:
    return lambda name: getattr(sample, name)


def main(minutes: float) -> int:
    """Soak for so long; the exit code."""
    warnings.simplefilter("ignore")
    begun, end = time.monotonic(), time.monotonic() + 60 * minutes
    tally, samples = Tally(), list[Sample]()
    server = Server()
    try:
        while not samples or time.monotonic() < end:
            run_round(server, tally, min(ROUND, 6 * minutes), len(samples))
            samples.append(measure(begun, tally.calls))
    finally:
        server.stop()
    show(samples)
    print(f"{tally.calls} calls:", ", ".join(f"{count} {name}" for name, count in tally.outcomes.most_common()))
    found = [*judge(samples), *(f"an error that is not ours: {text}" for text in sorted(set(tally.foreign)))]
    print("\n".join(found) or "nothing grew, and every error was ours")
    return bool(found)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]))
    else:
        sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 20))
