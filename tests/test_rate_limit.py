"""`RateLimit`: arguments, stores, queues of threads and tasks, pickles and forks."""

import asyncio
import copy
import multiprocessing
import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
import redis
from _redis import free_port, needs_redis, redis_server

from mdstream_core import MissingExtra, RateLimit
from mdstream_core.errors import RateLimitTimeout
from mdstream_core.rate_limit import _fallback, _file_store, _rate_limit
from mdstream_core.rate_limit._store import StoreError
from mdstream_core.transport._cancellation import CancelToken, RequestCancelled

#: One request an hour after a burst: whether a request waits does not depend on the speed of the machine.
HOURLY = {"requests_per_second": 1 / 3600, "max_wait": 0.01}


@pytest.fixture(autouse=True)
def no_limits_of_other_tests() -> None:
    """A failed test keeps its limits alive, and they have the same keys."""
    _rate_limit._limiters.clear()


@pytest.fixture(params=["memory", "file", pytest.param("redis", marks=needs_redis)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "memory":
        yield "memory"
    elif request.param == "file":
        yield f"file://{tmp_path}/limits"
    else:
        with redis_server(tmp_path) as url:
            yield url


def burst_of(limit: RateLimit, most: int = 20) -> int:
    """How many requests pass until one would have to wait."""
    for count in range(most):
        try:
            limit.acquire()
        except RateLimitTimeout:
            return count
    return most


INVALID = {
    "rate 0": ({"requests_per_second": 0}, "requests_per_second=0 must be a positive number"),
    "rate below 0": ({"requests_per_second": -3}, "requests_per_second=-3"),
    "rate infinite": ({"requests_per_second": float("inf")}, "requests_per_second=inf"),
    "rate a text": ({"requests_per_second": "5"}, "requests_per_second='5'"),
    "rate a bool": ({"requests_per_second": True}, "requests_per_second=True"),
    "burst above the rate": ({"requests_per_second": 5, "burst": 6}, "burst=6 must not exceed requests_per_second=5"),
    "burst 0": ({"requests_per_second": 5, "burst": 0}, "burst=0 must be an integer of 1 or more"),
    "processes 0": ({"requests_per_second": 5, "processes": 0}, "processes=0"),
    "tokens": ({"tokens_per_minute": -1}, "tokens_per_minute=-1"),
    "max_wait": ({"requests_per_second": 5, "max_wait": 0}, r"max_wait=0 must be a positive number \(hint: seconds\)"),
    "no limit": ({"adaptive": False}, "nothing is limited"),
    "key with a slash": ({"requests_per_second": 5, "key": "a/b"}, "key='a/b' must have"),
    "key of dots": ({"requests_per_second": 5, "key": ".."}, r"key='\.\.'"),
    "key empty": ({"requests_per_second": 5, "key": ""}, "key=''"),
    "unknown store": ({"requests_per_second": 5, "store": "sqlite:///x"}, "store='sqlite:///x' is unknown"),
    "store no text": ({"requests_per_second": 5, "store": 5}, "store=5 is unknown"),
    "relative file": ({"requests_per_second": 5, "store": "file://limits"}, "must have an absolute path"),
    "directory that cannot be created": (
        {"requests_per_second": 5, "store": "file:///dev/null/x"},
        "store='file:///dev/null/x' cannot be used: .*Not a directory",
    ),
    "password in the query": (
        {"requests_per_second": 5, "store": "redis://h:1/0?password=hush"},
        "the password is in the query",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), INVALID.values(), ids=INVALID)
def test_invalid_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    """With a hint, and without a password."""
    with pytest.raises(ValueError, match=message) as raised:
        RateLimit(**arguments)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(("rate", "burst"), [(142, 8), (8, 8), (3, 3), (0.5, 1), (None, 8)])
def test_the_default_burst_is_at_most_the_rate(rate: float | None, burst: int) -> None:
    """And at least one request."""
    assert burst == RateLimit(rate).burst


def test_a_burst_passes_and_the_next_request_waits(store: str) -> None:
    """In every store."""
    limit = RateLimit(1 / 3600, store=store, key="k", max_wait=0.01)
    with pytest.raises(RateLimitTimeout, match=r"'k' allowed no request within 0.01 s .*in 3600.0 s \(hint: "):
        [limit.acquire() for _ in range(2)]


def test_equal_stores_and_keys_share_a_limit(store: str) -> None:
    """Other keys do not."""
    first, second, other = (RateLimit(**HOURLY, store=store, key=key) for key in ("a", "a", "b"))

    assert (1, 0, 1) == (burst_of(first), burst_of(second), burst_of(other))


def test_limits_in_memory_without_a_key_are_separate() -> None:
    """Two models with limits of their own."""
    assert (1, 1) == (burst_of(RateLimit(**HOURLY)), burst_of(RateLimit(**HOURLY)))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda limit: pickle.loads(pickle.dumps(limit))])
def test_copies_and_pickles_share_a_limit(store: str, duplicate: Callable[[RateLimit], RateLimit]) -> None:
    """And are equal."""
    limit = RateLimit(**HOURLY, store=store)
    other = duplicate(limit)

    assert (1, 0) == (burst_of(limit), burst_of(other))
    assert limit == other
    assert hash(limit) == hash(other)


def test_passwords_are_in_no_repr_and_no_pickle() -> None:
    """The loaded limit reads the environment."""
    limit = RateLimit(5, store="redis://bob:hush@127.0.0.1:1/0")

    assert "RateLimit(requests_per_second=5, burst=5, store='redis://bob@127.0.0.1:1/0')" == repr(limit)
    assert b"hush" not in pickle.dumps(limit)
    assert "hush" not in repr(vars(limit))


@needs_redis
def test_the_password_of_a_loaded_limit_is_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Special characters included."""
    password = "p@ss/w:rd"
    with redis_server(tmp_path, password=password) as url:
        store = url.replace("redis://", "redis://:p%40ss%2Fw%3Ard@")
        limit = RateLimit(**HOURLY, store=store, key="k")
        assert 1 == burst_of(limit)
        data = pickle.dumps(limit)
        limit.close()
        del limit
        monkeypatch.setenv("MDSTREAM_REDIS_PASSWORD", password)
        assert 0 == burst_of(pickle.loads(data))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """At construction."""
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(MissingExtra, match=r"redis is not installed \(hint: pip install 'mdstream-llm\[redis\]'"):
        RateLimit(5, store="redis://127.0.0.1:1/0")


async def test_tasks_and_threads_share_a_limit(store: str) -> None:
    """The sync and the async variant."""
    limit = RateLimit(**HOURLY, store=store, key="k")
    await limit.aacquire()
    with pytest.raises(RateLimitTimeout):
        await limit.aacquire()
    with pytest.raises(RateLimitTimeout):
        await asyncio.to_thread(limit.acquire)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_many_tasks_pass_at_the_rate(store: str, backend: str) -> None:
    """On asyncio and trio: the grants are not closer than the limit allows."""
    limit = RateLimit(200, burst=1, store=store, key="k")
    grants: list[float] = []

    async def one() -> None:
        grants.append((await limit.aacquire()).at)

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)

    anyio.run(run, backend=backend)
    grants.sort()
    assert all(later - earlier >= 0.00499 for earlier, later in pairwise(grants))


def test_many_threads_pass_at_the_rate(store: str) -> None:
    """The same for threads."""
    limit = RateLimit(200, burst=1, store=store, key="k")
    grants: list[float] = []
    threads = [threading.Thread(target=lambda: grants.append(limit.acquire().at)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    grants.sort()
    assert 20 == len(grants)
    assert all(later - earlier >= 0.00499 for earlier, later in pairwise(grants))


async def test_a_cancelled_task_leaves_the_queue(store: str) -> None:
    """The first in the queue wastes its turn at most; the others waste nothing."""
    limit = RateLimit(1 / 3600, store=store, key="k", max_wait=7200)
    await limit.aacquire()
    waiting = [asyncio.ensure_future(limit.aacquire()) for _ in range(50)]
    await asyncio.sleep(0.05)
    for task in waiting:
        task.cancel()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    limit.max_wait = 0.01

    assert {asyncio.CancelledError} == {type(end) for end in ends}
    with pytest.raises(RateLimitTimeout, match=r"in 7\d\d\d\.\d s"):  # one slot for the first, not fifty
        await limit.aacquire()


async def test_a_request_that_may_be_sent_at_once_is_granted_in_a_slow_process() -> None:
    """Also when reaching the store takes longer than `max_wait`."""
    limit = RateLimit(1000, key="slow-process", max_wait=1e-9)

    assert 0.0 <= limit.acquire().waited < 60
    assert 0.0 <= (await limit.aacquire()).waited < 60


async def test_a_task_in_the_queue_waits_no_longer_than_max_wait() -> None:
    """Also if it never becomes the first."""
    limit = RateLimit(1 / 3600, key="queue", max_wait=7200)
    await limit.aacquire()
    first = asyncio.ensure_future(limit.aacquire())
    await asyncio.sleep(0.01)
    with pytest.raises(RateLimitTimeout, match="allowed no request within"):
        await RateLimit(1 / 3600, key="queue", max_wait=0.01).aacquire()
    first.cancel()


def test_an_interrupted_thread_leaves_the_queue() -> None:
    """Ctrl-C during the wait."""
    limit = RateLimit(1 / 3600, max_wait=7200)
    limit.acquire()
    timer = threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            limit.acquire()
    finally:
        signal.signal(signal.SIGINT, handler)
    limit.max_wait = 0.01
    with pytest.raises(RateLimitTimeout, match=r"in 7\d\d\d"):
        limit.acquire()


def acquire_in_child(data: bytes, results: Any) -> None:
    results.put(burst_of(pickle.loads(data)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_a_limit(method: str, store: str, tmp_path: Path) -> None:
    """A file and Redis; a limit in memory belongs to each process."""
    limit = RateLimit(**HOURLY, store=store, key="k")
    limit.acquire()
    context = multiprocessing.get_context(method)
    results = context.Queue()
    process = context.Process(target=acquire_in_child, args=(pickle.dumps(limit), results))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork of a process with threads
        process.start()
    passed = results.get(timeout=60)
    process.join()

    expected = 1 if store == "memory" and method == "spawn" else 0
    assert expected == passed


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@needs_fork
def test_a_forked_process_has_its_own_lock_of_the_file(tmp_path: Path) -> None:
    """`flock` does not separate processes that share an open file."""
    store = _file_store.FileStore(tmp_path, "k")
    store.open()
    parent = store._file
    child = os.fork()
    if child == 0:
        ok = store._map is None and store._file == -1
        store.open()
        store._acquire(blocking=True)
        time.sleep(0.2)
        os._exit(0 if ok and store._file >= 0 else 1)
    deadline = time.monotonic() + 20
    is_separate = False
    while time.monotonic() < deadline and not is_separate:
        try:
            store._acquire(blocking=False)
            _file_store.fcntl.flock(parent, _file_store.fcntl.LOCK_UN)
            time.sleep(0.001)
        except _file_store.StoreBusy:
            is_separate = True
    assert (child, 0) == os.waitpid(child, 0)
    assert is_separate


def test_a_deleted_file_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes go on with the same new one, within a second."""
    monkeypatch.setattr(_file_store, "_CHECK_INTERVAL", 0.0)
    limit = RateLimit(**HOURLY, store=f"file://{tmp_path}", key="k")
    assert 1 == burst_of(limit)
    (tmp_path / "k.limit").unlink()

    assert 1 == burst_of(limit)
    assert (tmp_path / "k.limit").exists()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """Others may create one in a shared directory."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "k.limit").symlink_to(target)
    with pytest.raises(ValueError, match="is a symbolic link"):
        RateLimit(5, store=f"file://{tmp_path}", key="k")
    assert b"precious" == target.read_bytes()


def test_the_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    """And so is the file."""
    RateLimit(5, store=f"file://{tmp_path}/new", key="k")

    assert 0o700 == (tmp_path / "new").stat().st_mode & 0o777
    assert 0o600 == (tmp_path / "new/k.limit").stat().st_mode & 0o777


def test_a_locked_file_is_a_failed_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As if a process that holds its lock were stopped: one warning, one log record, and a share of the limit."""
    monkeypatch.setattr(_file_store, "STORE_TIMEOUT", 0.05)
    holder = _file_store.FileStore(tmp_path, "k")
    holder.open()
    holder._acquire(blocking=True)
    limit = RateLimit(100, store=f"file://{tmp_path}", key="k", processes=4, max_wait=0.001)
    with pytest.warns(RuntimeWarning, match=r"'k' cannot be used: .*locked by another process for") as caught:
        assert 2 == burst_of(limit)  # a quarter of the burst of 8
    assert 1 == sum("cannot be used" in str(warning.message) for warning in caught)
    assert ["rate_limit_store"] == [vars(record)["mdstream_event"] for record in caplog.records]


def unreachable(**options: Any) -> RateLimit:
    return RateLimit(store=f"redis://:hush@127.0.0.1:{free_port()}/0", key="k", **options)


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({"requests_per_second": 100}, 10),
        ({"requests_per_second": 100, "processes": 4}, 25),
        ({"adaptive": True}, 1),
        ({"adaptive": True, "processes": 2}, 5),
    ],
)
async def test_without_its_store_a_process_limits_itself_to_its_share(options: dict[str, Any], rate: float) -> None:
    """Never to no limit; with one warning, which shows no password."""
    limit = unreachable(**options)
    with pytest.warns(RuntimeWarning) as caught:
        grants = [limit.acquire().at for _ in range(4)] + [(await limit.aacquire()).at for _ in range(2)]

    (message,) = [text for warning in caught if "cannot be used" in (text := str(warning.message))]
    assert "Connection refused" in message
    assert "hush" not in message
    spacing = [later - earlier for earlier, later in pairwise(grants)]
    burst = max(1, int(8 * (1 / options["processes"] if "processes" in options else 0.1)))
    assert all(gap >= 0.99 / rate for gap in spacing[burst:])


class HangingServer(threading.Thread):
    """Accepts connections and never responds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = __import__("socket").create_server(("127.0.0.1", 0))
        self.start()

    def run(self) -> None:
        peers = []
        while True:
            try:
                peers.append(self.listener.accept())
            except OSError:
                return


async def test_a_store_that_hangs_does_not_block_the_event_loop() -> None:
    """The wait is limited too."""
    server = HangingServer()
    limit = RateLimit(100, store=f"redis://127.0.0.1:{server.listener.getsockname()[1]}/0", key="k")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.ensure_future(tick())
    with pytest.warns(RuntimeWarning, match="Timeout"):
        await limit.aacquire()
    ticking.cancel()
    server.listener.close()
    assert ticks > 10


@needs_redis
def test_the_store_is_used_again_when_it_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed and started again on the same address."""
    monkeypatch.setattr(_fallback, "_FIRST_RETRY", 0.05)
    port = free_port()
    limit = RateLimit(1000, store=f"redis://127.0.0.1:{port}/0", key="k")
    with redis_server(tmp_path, port=port):
        limit.acquire()
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        limit.acquire()
    with redis_server(tmp_path, port=port) as url:
        client = redis.Redis.from_url(url)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not client.exists("mdstream:rate-limit:k"):
            limit.acquire()
        assert client.exists("mdstream:rate-limit:k")
        client.close()
        limit.close()


def test_an_error_of_the_store_is_ours(tmp_path: Path) -> None:
    """Not redis-py's."""
    limit = unreachable(requests_per_second=5)
    with pytest.raises(StoreError, match=r"^Redis: .*refused") as raised:
        limit._get_limiter()._store._store.slow_down(limit._limits, granted_at=0.0, retry_after=0.0)
    assert isinstance(raised.value.__cause__, redis.ConnectionError)


def test_a_cancelled_token_ends_the_wait(store: str) -> None:
    """Of the first in the queue, and of those behind it."""
    limit = RateLimit(1 / 3600, store=store, key="k", max_wait=7200)
    limit.acquire()
    token = CancelToken()
    ends: list[BaseException] = []

    def wait() -> None:
        try:
            limit.acquire(cancellation=token)
        except RequestCancelled as error:
            ends.append(error)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    token.cancel()
    for thread in threads:
        thread.join(30)

    assert 3 == len(ends)
