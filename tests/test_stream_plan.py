"""`StreamPlan`: batches of an iterable, without any request; and tokens that cancel the requests of threads."""

import threading
from typing import Any

import pytest

from mdstream_core.batching.stream_plan import StreamPlan
from mdstream_core.dialects._batch_limits import BatchLimit
from mdstream_core.errors import InvalidRequest, MDStreamError
from mdstream_core.events import Embedding, ModelResponse
from mdstream_core.transport._cancellation import CancelToken, RequestCancelled, sleep


def plan_of(count: int, **options: Any) -> StreamPlan:
    """A plan to which so many texts were added."""
    plan = StreamPlan(**{"max_batch_size": 4, "max_concurrency": 2, **options})
    for number in range(count):
        plan.add(f"text {number}")
    return plan


def respond(plan: StreamPlan, span: range | None) -> None:
    assert span is not None
    vectors = tuple(Embedding([float(index)], index - span.start) for index in span)
    plan.add_response(span, ModelResponse(embeddings=vectors))


def indices(plan: StreamPlan) -> list[int] | None:
    results = plan.pop()
    return None if results is None else [index for index, _ in results]


def fail(plan: StreamPlan, span: range | None, error: BaseException) -> None:
    assert span is not None
    with plan.handle_batch(span):
        raise error


def test_an_incomplete_batch_waits_for_more_texts() -> None:
    """Until it is complete, or the iterable has ended."""
    plan = plan_of(6)
    assert 1 == plan.start_workers()
    assert range(4) == plan.take()
    assert 0 == plan.start_workers()
    assert None is plan.take()
    plan.end()
    assert 1 == plan.start_workers()
    assert range(4, 6) == plan.take()
    assert ["text 4", "text 5"] == plan.texts(range(4, 6))


def test_an_incomplete_batch_is_sent_when_the_window_is_full() -> None:
    """Otherwise nothing would ever be delivered, and the window would stay full."""
    plan = StreamPlan(max_batch_size=4, max_concurrency=1, max_batch_bytes=10)
    plan.add("x" * 1000)
    assert not plan.can_read
    assert 1 == plan.start_workers()
    assert range(1) == plan.take()


def test_results_are_delivered_in_order() -> None:
    """Whatever the order of the responses is."""
    plan = plan_of(8)
    assert 2 == plan.start_workers()
    one, two = plan.take(), plan.take()
    respond(plan, two)
    assert None is plan.pop()
    respond(plan, one)
    assert [0, 1, 2, 3] == indices(plan)
    assert [4, 5, 6, 7] == indices(plan)
    assert not plan.is_finished()
    plan.end()
    assert plan.is_finished()


def test_a_rejected_batch_is_split_with_those_that_wait() -> None:
    """The last one goes on growing, with the new limit."""
    plan = plan_of(10, max_concurrency=3, learn_limit=lambda error, inputs, size: BatchLimit(inputs=3))
    assert 2 == plan.start_workers()
    fail(plan, plan.take(), InvalidRequest("too many"))
    assert [range(3), range(3, 6), range(6, 9)] == [plan.take() for _ in range(3)]
    assert None is plan.take()
    plan.add("text 10")
    plan.add("text 11")
    assert range(9, 12) == plan.take()


def test_the_bytes_of_a_batch_are_limited() -> None:
    """Also after a batch was split."""
    plan = StreamPlan(max_batch_size=9, max_concurrency=1, max_batch_bytes=5)
    for text in ("aa", "bb", "cc", "d", "eeeeeee", "f"):
        plan.add(text)
    plan.end()
    assert [range(2), range(2, 4), range(4, 5), range(5, 6)] == [plan.take() for _ in range(4)]

    plan = StreamPlan(max_batch_size=9, max_concurrency=2, learn_limit=lambda error, inputs, size: BatchLimit(bytes=4))
    plan.add("aaa")
    plan.add("bbb")
    plan.add("c")
    plan.end()
    fail(plan, plan.take(), InvalidRequest("too large"))
    assert [range(1), range(1, 3), None] == [plan.take() for _ in range(3)]


def test_batches_before_a_failed_one_are_still_sent() -> None:
    """Those after it are not, and no text is added."""
    limits = [None, BatchLimit(inputs=2)]
    plan = plan_of(16, max_concurrency=4, learn_limit=lambda error, inputs, size: limits.pop(0))
    assert 4 == plan.start_workers()
    one, two, three = plan.take(), plan.take(), plan.take()
    fail(plan, two, InvalidRequest("wrong"))  # the fourth is dropped
    fail(plan, one, InvalidRequest("too many"))
    assert not plan.can_read
    plan.add("text 16")
    respond(plan, three)
    assert [range(2), range(2, 4)] == [plan.take() for _ in range(2)]
    respond(plan, range(2))
    respond(plan, range(2, 4))
    assert [[0, 1], [2, 3], None] == [indices(plan) for _ in range(3)]
    assert not plan.is_finished()
    assert [None] * 4 == [plan.take() for _ in range(4)]
    with pytest.raises(InvalidRequest, match="wrong") as caught:
        plan.is_finished()
    assert caught.value.partial is not None
    assert [8, 9, 10, 11] == [one.index for one in caught.value.partial.embeddings]


def test_an_error_without_other_results_has_no_partial() -> None:
    """Everything that was received has been delivered."""
    plan = plan_of(4)
    plan.start_workers()
    fail(plan, plan.take(), MDStreamError("no"))
    plan.take()
    with pytest.raises(MDStreamError) as caught:
        plan.is_finished()
    assert None is caught.value.partial


def test_a_cancelled_worker_ends() -> None:
    """What cancelled it is raised on."""
    plan = plan_of(4)
    plan.start_workers()
    with pytest.raises(RequestCancelled):
        fail(plan, plan.take(), RequestCancelled())
    with pytest.raises(RequestCancelled):
        plan.is_finished()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), KeyError("a"), StopIteration()])
def test_errors_of_the_input(error: BaseException) -> None:
    """An interrupt is raised at once; an exception after the results; the end is none."""
    plan = plan_of(0)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt), plan.input_errors():
            raise error
        assert plan.can_read
        return
    with plan.input_errors():
        raise error
    assert not plan.can_read
    if isinstance(error, StopIteration):
        assert plan.is_finished()
    else:
        with pytest.raises(KeyError):
            plan.is_finished()


def test_a_plan_in_a_forked_process_has_ended() -> None:
    """Its workers are not there."""
    plan = plan_of(8)
    plan.start_workers()
    plan.reset_after_fork()
    assert 0 == plan.start_workers()
    with pytest.raises(RuntimeError, match=r"before the process was forked \(hint: create one in each process\)"):
        plan.is_finished()


class Recorder:
    """A connection that records its interruption."""

    interrupted = False

    def interrupt(self) -> None:
        self.interrupted = True


def test_a_token_interrupts_the_connections_in_use() -> None:
    """Not those that were removed; later ones are rejected."""
    token, used, returned = CancelToken(), Recorder(), Recorder()
    token.add(used)
    token.add(returned)
    token.remove(returned)
    token.check()
    token.cancel()
    assert (True, False) == (used.interrupted, returned.interrupted)
    with pytest.raises(RequestCancelled):
        token.check()
    with pytest.raises(RequestCancelled):
        token.add(returned)
    with pytest.raises(RequestCancelled):
        sleep(3600, token)


def test_a_token_ends_a_sleep() -> None:
    """In another thread."""
    token, ended = CancelToken(), threading.Event()

    def wait() -> None:
        with pytest.raises(RequestCancelled):
            sleep(3600, token)
        ended.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    token.cancel()
    assert ended.wait(60)
    sleep(0, None)
    sleep(0, CancelToken())


def test_a_token_in_a_forked_process() -> None:
    """It does not shut down the parent's sockets."""
    token, used = CancelToken(), Recorder()
    token.add(used)
    token.reset_after_fork()
    token.cancel()
    assert not used.interrupted
