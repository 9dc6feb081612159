"""SageMaker's responses as the container's unparsed output."""

import pytest
from _sagemaker import exception, part, stream_head

from mdstream_core.errors import MalformedStream, StreamFailure
from mdstream_core.http import ResponseHead
from mdstream_core.platforms import SageMaker
from mdstream_core.platforms._sagemaker_payload_parts import RawDecoder
from mdstream_core.wire import FrameDecoder

WRITTEN = b" one\n\ntw\xc3\xa9o\r\n{}\nlast"
LINES = [b" one", b"", b"tw\xc3\xa9o\r", b"{}", b"last"]


def platform() -> SageMaker:
    return SageMaker("e", "us-east-1", raw_output=True)


def read(frames: FrameDecoder, data: bytes, step: int) -> list[bytes]:
    found = [frame.data for at in range(0, len(data), step) for frame in frames.feed(data[at : at + step])]
    return [*found, *(frame.data for frame in frames.finish())]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 4096])
def test_any_split_gives_the_same_lines(step: int) -> None:
    """Lines keep their white space."""
    parts = b"".join(part(WRITTEN[at : at + step]) for at in range(0, len(WRITTEN), step))

    assert LINES == read(platform().create_frame_decoder(stream_head("text/plain")), parts, step)
    assert LINES == read(RawDecoder(lines=True), WRITTEN, step)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 4096])
def test_parts_are_kept(step: int) -> None:
    """However the event stream itself is split; one larger than a piece of decoding too."""
    parts = [b"one", b"\n", b"t\xc3", b"\xa9", b"x" * 200_000 if step > 3 else b"last"]
    data = b"".join(map(part, parts))

    assert parts == read(
        SageMaker("e", "us-east-1", raw_output="parts").create_frame_decoder(stream_head()), data, step
    )


@pytest.mark.parametrize("step", [1, 5, 4096])
def test_a_whole_response_is_one_frame(step: int) -> None:
    """Its lines are not split."""
    assert [WRITTEN] == read(
        platform().create_frame_decoder(ResponseHead(200, {"content-type": "text/plain"})), WRITTEN, step
    )
    assert [] == read(RawDecoder(lines=False), b"", step)


def test_an_exception_is_raised_after_the_lines() -> None:
    """The output before it is returned first."""
    frames, found = platform().create_frame_decoder(stream_head()), []
    with pytest.raises(StreamFailure) as caught:
        for frame in frames.feed(part(b"one\ntwo\n") + exception("ModelStreamError", b'{"Message": "boom"}')):
            found.append(frame.data)  # noqa: PERF401  # what came before the error counts

    assert ([b"one", b"two"], "ModelStreamError") == (found, caught.value.code)


@pytest.mark.parametrize("lines", [True, False])
def test_a_line_has_a_size_limit(lines: bool) -> None:
    """So has the body."""
    reader = RawDecoder(lines=lines, max_size=10)

    reader.feed(b"x" * 10)
    with pytest.raises(MalformedStream, match="more than 10 bytes"):
        reader.feed(b"x")
