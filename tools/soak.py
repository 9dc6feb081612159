"""Soak test for leaks: send requests for minutes, with all kinds of failures: `python tools/soak.py 20` (minutes).

The server, an emulator with all faults, runs in its own process, so that memory and file descriptors are those of the
client. Threads and tasks call four platforms with LangChain and LlamaIndex: whole responses, streams, streams that are
closed early, tasks that are cancelled, and a server that is killed and restarted. After each round all threads are
joined, garbage is collected, and the process is measured. The exit code is 1 if an error is not an `MDStreamError`, or
if a measurement grew.
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
from contextlib import aclosing, closing
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from statistics import linear_regression
from typing import Any

from mdstream_core.errors import MDStreamError

ROUND = 10.0  #: Seconds of a round, at most a tenth of the time.
THREADS, TASKS = 4, 8
MAX_CALLS = 40  #: Calls of a model object before it is closed.
PROMPT = "Name three rivers."

# Limits of growth.
MAX_SLOPES = {"blocks": 200.0, "rss": 64.0}  #: Per 1,000 calls, in the second half; `rss` in KiB.
MIN_ROUNDS = 12  #: Fewer rounds are not enough for a slope.
MAX_EXCESS = {"fds": 4, "sockets": 2, "threads": 2, "tasks": 0}  #: Above the lowest value after the warm-up.


# the server


def serve(port: int) -> None:
    """Run the emulator, with new faults every second, until standard input ends."""
    from mdstream_core.emulator import Emulator, Fault  # noqa: PLC0415  (the client does not import the emulator)

    faults = [
        *[None] * 9, Fault("trailer", after=3), Fault("trailer"), Fault("cut", after=3), Fault("reset", after=3),
        Fault("error_event", "vllm", after=3), Fault("refuse", "lb_bandwidth"), Fault("refuse", status=500),
        Fault("refuse", status=401), Fault("drop"), Fault("drop_reset"), Fault("close"), Fault("no_finish", after=3),
        Fault("malformed_json", after=3), Fault("hold", after=2, seconds=0.05), Fault("html"), Fault("empty"),
        Fault("stall", after=3), Fault("encoded", "gzip"), Fault("keepalive_comments", "vllm"),
    ]  # fmt: skip
    with Emulator(port=port) as emulator:
        genai = emulator.oci_genai
        print(json.dumps({
            "port": int(emulator.url.rpartition(":")[2]), "oci": emulator.endpoint, "genai": genai.endpoint,
            "compartment": genai.compartment_id, "sagemaker": emulator.sagemaker.endpoint_url,
            "endpoint_name": emulator.sagemaker.endpoint_name, "modelarts": emulator.modelarts.endpoint,
            "websocket": emulator.modelarts.websocket_endpoint,
        }), flush=True)  # fmt: skip
        threading.Thread(target=_until_end, daemon=True).start()
        while True:
            emulator.reset()
            emulator.script(*random.choices(faults, k=2_000))
            time.sleep(1)


def _until_end() -> None:
    sys.stdin.read()  # the client has ended
    os._exit(0)


class Server:
    """The process of the emulator, which can be killed and restarted at the same port."""

    def __init__(self) -> None:
        self.platforms: dict[str, Any] = {"port": 0}
        self.start()

    def start(self) -> None:
        """Start the process and read its endpoints."""
        command = [sys.executable, __file__, "--serve", str(self.platforms["port"])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.platforms = json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        """Kill the process, in the middle of its responses."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def restart(self) -> None:
        """Kill the process, and start it again after a moment."""
        self.stop()
        time.sleep(0.3)
        self.start()


# the client


def connection_fields(platforms: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return constructor fields by platform."""
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
    """Create a LangChain and a LlamaIndex model for a random platform."""
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
    platform, connection = chance.choice(sorted(connection_fields(platforms).items()))
    timeout = {"connect": 2, "read": 0.4, "total": 5}
    options = {**connection, "timeout": timeout, "max_retries": chance.choice([0, 0, 0, 1])}
    chat, llm = kinds[platform]
    return chat(**options), llm(**options)


@dataclass
class Tally:
    """Counts of the outcomes of calls, shared by threads and tasks."""

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
        """Count a call that failed; an error that is no `MDStreamError` is a finding."""
        self.add(type(error).__name__)
        if not isinstance(error, MDStreamError):
            self.foreign.append(f"{type(error).__name__}: {str(error)[:200]}")


def call(models: tuple[Any, Any], chance: random.Random) -> str:
    """Make a sync call with a random method; return its outcome."""
    from llama_index.core.llms import ChatMessage  # noqa: PLC0415

    chat, llm = models
    messages = [ChatMessage(PROMPT)]
    method = chance.randrange(6)
    if method == 0:
        return "whole" if chat.invoke(PROMPT).text else "empty"
    if method == 1:
        return "whole" if llm.chat(messages).message.content else "empty"
    with closing(chat.stream(PROMPT) if method < 4 else llm.stream_chat(messages)) as stream:
        for number, _ in enumerate(stream):
            if method in {3, 5} and number >= chance.randrange(4):
                return "closed"
    return "streamed"


async def acall(models: tuple[Any, Any], chance: random.Random) -> str:
    """Make an async call with a random method; return its outcome."""
    from llama_index.core.llms import ChatMessage  # noqa: PLC0415

    chat, llm = models
    messages = [ChatMessage(PROMPT)]
    method = chance.randrange(6)
    if method == 0:
        return "whole" if (await chat.ainvoke(PROMPT)).text else "empty"
    if method == 1:
        return "whole" if (await llm.achat(messages)).message.content else "empty"
    stream: Any = chat.astream(PROMPT) if method < 4 else await llm.astream_chat(messages)
    number = 0
    async with aclosing(stream):
        async for _ in stream:
            number += 1
            if method in {3, 5} and number > chance.randrange(4):
                return "closed"
    return "streamed"


def work(server: Server, tally: Tally, until: float, seed: int) -> None:
    """Make sync calls until the time has ended."""
    chance = random.Random(seed)
    while time.monotonic() < until:
        models = build_models(server.platforms, chance)
        try:
            for _ in range(MAX_CALLS):
                if time.monotonic() > until:
                    break
                try:
                    tally.add(call(models, chance))
                except Exception as error:  # noqa: BLE001  (all errors are counted)
                    tally.add_error(error)
        finally:
            models[0].close()
            models[1].close()


async def awork(server: Server, tally: Tally, until: float, seed: int) -> None:
    """Make async calls until the time has ended, and cancel every seventh."""
    chance = random.Random(seed)
    while time.monotonic() < until:
        models = build_models(server.platforms, chance)
        try:
            for number in range(MAX_CALLS):
                if time.monotonic() > until:
                    break
                await _run_call(models, chance, tally, cancel=number % 7 == 0)
        finally:
            await models[0].aclose()
            await models[1].aclose()


async def _run_call(models: tuple[Any, Any], chance: random.Random, tally: Tally, *, cancel: bool) -> None:
    task = asyncio.ensure_future(acall(models, chance))
    if cancel:
        await asyncio.sleep(chance.random() ** 2 / 50)
        task.cancel()
    try:
        tally.add(await task)
    except asyncio.CancelledError:
        tally.add("cancelled")
    except Exception as error:  # noqa: BLE001  (all errors are counted)
        tally.add_error(error)


async def run_tasks(server: Server, tally: Tally, until: float, seed: int) -> None:
    """Run all tasks on one event loop."""
    await asyncio.gather(*(awork(server, tally, until, seed + n) for n in range(TASKS)))


def run_round(server: Server, tally: Tally, seconds: float, number: int) -> None:
    """Run all threads, and all tasks on an event loop; in every third round the server is restarted halfway."""
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
    """Measurements of the process after a round, while no call runs."""

    seconds: float
    calls: int
    rss: float | None  #: KiB; `None` if the system does not report it.
    blocks: int  #: Memory blocks of Python objects; unlike `rss` they do not depend on fragmentation.
    fds: int
    sockets: int
    threads: int
    tasks: int


def measure(started: float, calls: int) -> Sample:
    """Collect garbage and measure the process."""
    for _ in range(3):
        gc.collect()
    _trim()
    tasks = sum(isinstance(one, asyncio.Task) and not one.done() for one in gc.get_objects())
    descriptors = _descriptors()
    sockets = sum(stat.S_ISSOCK(mode) for mode in descriptors)
    return Sample(
        time.monotonic() - started,
        calls,
        _resident(),
        sys.getallocatedblocks(),
        len(descriptors),
        sockets,
        threading.active_count(),
        tasks,
    )


def _trim() -> None:
    """Return free memory of glibc to the system: fragmentation by threads and TLS contexts is not a leak."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _resident() -> float | None:
    """Resident memory in KiB; `None` on macOS, which has no /proc, and whose `ru_maxrss` is the peak."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() / 1024 if statm.exists() else None


def _descriptors() -> list[int]:
    """The modes of all open files (`/dev/fd` exists on Linux and macOS)."""
    modes = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  (a `Path` would be read while it is open)
        try:
            modes.append(os.fstat(int(name)).st_mode)
        except OSError:  # the descriptor that listed them
            continue
    return modes


def find_growth(samples: list[Sample]) -> list[str]:
    """Describe the measurements that grew after the warm-up, the first third."""
    warm = samples[len(samples) // 3 :]
    growths = []
    for name, max_excess in MAX_EXCESS.items():
        values = [getattr(sample, name) for sample in warm]
        if values[-1] > min(values) + max_excess:
            growths.append(f"{name}: {min(values)} after the warm-up, {values[-1]} at the end")
    for name, max_slope in MAX_SLOPES.items():
        half = [sample for sample in samples[len(samples) // 2 :] if getattr(sample, name) is not None]
        if len(half) < MIN_ROUNDS // 2:
            print(f"{name} is not checked: {len(half)} samples are too few for a slope")
            continue
        slope = linear_regression([s.calls / 1_000 for s in half], [float(getattr(s, name)) for s in half]).slope
        print(f"{name}: {slope:+.1f} per 1,000 calls over the second half ({max_slope:.0f} allowed)")
        if slope > max_slope:
            growths.append(f"{name}: {slope:.1f} more with every 1,000 calls")
    return growths


def show(samples: list[Sample]) -> None:
    """Print a table of at most 20 lines."""
    names = [field.name for field in fields(Sample)]
    print(" ".join(f"{name:>9}" for name in names))
    step = max(1, -(-len(samples) // 20))
    for sample in samples[::-1][::step][::-1]:
        print(
            " ".join(
                f"{'-' if value is None else format(value, '.0f'):>9}" for value in map(partial(getattr, sample), names)
            )
        )


def main(minutes: float) -> int:
    """Run the soak test; return the exit code."""
    warnings.simplefilter("ignore")
    started, end = time.monotonic(), time.monotonic() + 60 * minutes
    tally, samples = Tally(), list[Sample]()
    server = Server()
    try:
        while not samples or time.monotonic() < end:
            run_round(server, tally, min(ROUND, 6 * minutes), len(samples))
            samples.append(measure(started, tally.calls))
    finally:
        server.stop()
    show(samples)
    print(f"{tally.calls} calls:", ", ".join(f"{count} {name}" for name, count in tally.outcomes.most_common()))
    findings = [
        *find_growth(samples),
        *(f"an error that is no MDStreamError: {text}" for text in sorted(set(tally.foreign))),
    ]
    print("\n".join(findings) or "nothing grew, and every error was an MDStreamError")
    return bool(findings)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]))
    else:
        sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 20))
