"""Rate limits in several processes, as the service counts their requests: `python -m benchmarks.rate_limit`.

`limiter` compares the stores: each process acquires in threads as fast as it can, and sends a datagram for each grant
to a socket, which counts arrivals. `storm` sends chats to an emulator that rejects what exceeds its rate: without a
limit, with one just below the service's, and with one that is twice too high and adapts. `outage` is the storm with a
limit in Redis, which is killed for three seconds.
"""

import argparse
import asyncio
import multiprocessing
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core import RateLimit
from mdstream_core.emulator import Emulator, RequestRateLimit

_DATAGRAM = struct.Struct("<i")


def main() -> None:
    """Parse the command line and run the sections."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rate_limit", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", default=["limiter", "storm"], metavar="SECTION", help="limiter, storm, outage"
    )
    parser.add_argument("--stores", nargs="+", default=["file", "redis"], choices=["file", "redis"])
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rate", type=float, default=150.0)
    parser.add_argument("--burst", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rows", type=int, default=3000, help="of the storm, all processes together")
    options = parser.parse_args()
    for store in options.stores:
        with _store(store) as url:
            if "limiter" in options.sections:
                print(measure_limiter(url, options), flush=True)
            if "storm" in options.sections:
                for title, rate in (("no limit", None), ("limit", 0.95), ("limit twice too high", 2.0)):
                    print(f"{title:20}", measure_storm(url, rate and rate * options.rate, options), flush=True)
    if "outage" in options.sections:
        print(f"{'outage of 3 s':20}", measure_outage(options), flush=True)


def measure_limiter(store: str, options: argparse.Namespace) -> str:
    """Run the processes; return the rate, the worst second, the shares and the CPU of an acquisition."""
    context = multiprocessing.get_context("spawn")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        service.bind(("127.0.0.1", 0))
        limit = RateLimit(options.rate, burst=options.burst, store=store, key="benchmark")
        results = context.Queue()
        barrier = context.Barrier(options.processes)
        workers = [
            context.Process(target=_work, args=(limit, number, options, service.getsockname(), barrier, results))
            for number in range(options.processes)
        ]
        for worker in workers:
            worker.start()
        arrivals = _count_arrivals(service, workers)
        for worker in workers:
            worker.join()
    cpu = [results.get() for _ in workers]
    times = [at for at, _ in arrivals]
    shares = sorted(Counter(number for _, number in arrivals).values())
    span = times[-1] - times[0]
    return (
        f"{store.partition(':')[0]:6} {(len(times) - 1) / span:6.1f}/s of {options.rate:g}; worst second "
        f"{_worst_second(times)}; shares {shares}; {sum(cpu) / len(times) * 1e6:.0f} µs CPU for each acquisition"
    )


def measure_storm(
    store: str, rate: float | None, options: argparse.Namespace, during: Callable[[], None] = lambda: None
) -> str:
    """Send the rows from several processes; return how many were lost and rejected, and the time against the ideal."""
    context = multiprocessing.get_context("spawn")
    limit = (
        None
        if rate is None
        else RateLimit(rate, burst=options.burst, store=store, key=f"storm-{rate:g}", processes=options.processes)
    )
    with Emulator(rate_limits=[RequestRateLimit(options.rate, burst=options.burst)]) as emulator:
        results, barrier = context.Queue(), context.Barrier(options.processes + 1)
        count = options.rows // options.processes
        workers = [
            context.Process(target=_send_rows, args=(emulator.endpoint, limit, count, barrier, results))
            for _ in range(options.processes)
        ]
        for worker in workers:
            worker.start()
        barrier.wait()
        emulator.ledger.clear()
        started = time.monotonic()
        threading.Timer(3, during).start()
        lost = sum(results.get() for _ in workers)
        seconds = time.monotonic() - started
        for worker in workers:
            worker.join()
        ledger = emulator.ledger
        ideal = count * options.processes / min(rate or options.rate, options.rate)
        return (
            f"{store.partition(':')[0]:6} {lost} of {options.rows} rows lost, "
            f"{100 * ledger.rejected_count / ledger.request_count:.1f} % of requests rejected, "
            f"{seconds:.1f} s, {seconds / ideal:.2f} x the ideal time"
        )


def measure_outage(options: argparse.Namespace) -> str:
    """Run the storm while Redis is killed after three seconds, and started again three seconds later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [_redis(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    servers = [subprocess.Popen(command, stdout=subprocess.DEVNULL)]

    def kill() -> None:
        servers[0].kill()
        servers[0].wait()
        time.sleep(3)
        servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))

    try:
        return measure_storm(f"redis://127.0.0.1:{port}/0", 0.95 * options.rate, options, during=kill)
    finally:
        servers[-1].kill()
        servers[-1].wait()


def _send_rows(endpoint: str, limit: RateLimit | None, count: int, barrier: Any, results: Any) -> None:
    chat = ChatOCIModelDeployment(endpoint=endpoint, auth_type="none", rate_limit=limit)
    chat.invoke("Hello")  # imports and connections
    barrier.wait()
    prompts = [f"Name three rivers, {number}." for number in range(count)]
    outputs = asyncio.run(chat.abatch(prompts, {"max_concurrency": 16}, return_exceptions=True))
    results.put(sum(not isinstance(output, BaseMessage) for output in outputs))


def _work(limit: RateLimit, number: int, options: argparse.Namespace, service: Any, barrier: Any, results: Any) -> None:
    limit.acquire()  # imports and connections
    barrier.wait()
    deadline = time.monotonic() + options.seconds
    started = time.process_time()

    def run() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            while True:
                limit.acquire()
                if time.monotonic() > deadline:
                    return
                client.sendto(_DATAGRAM.pack(number), service)

    threads = [threading.Thread(target=run) for _ in range(options.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(time.process_time() - started)


def _count_arrivals(service: socket.socket, workers: list[Any]) -> list[tuple[float, int]]:
    service.settimeout(0.2)
    arrivals = []
    while True:
        try:
            data = service.recv(16)
        except TimeoutError:
            if arrivals and not any(worker.is_alive() for worker in workers):
                return arrivals
            continue
        arrivals.append((time.monotonic(), _DATAGRAM.unpack(data)[0]))


def _worst_second(times: list[float]) -> int:
    """Return the highest number of arrivals in any second."""
    most = start = 0
    for end, at in enumerate(times):
        while times[start] <= at - 1:
            start += 1
        most = max(most, end - start + 1)
    return most


def _redis() -> str:
    return shutil.which("redis-server") or "valkey-server"


@contextmanager
def _store(kind: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        if kind == "file":
            yield f"file://{directory}"
            return
        path = Path(directory) / "redis.sock"
        command = [
            _redis(),
            "--port",
            "0",
            "--unixsocket",
            str(path),
            "--save",
            "",
        ]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not path.exists():
                time.sleep(0.01)
            yield f"unix://{path}"
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
