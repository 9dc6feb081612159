"""`EmbedColumn` on the emulator: a bad text never loses the others, on each platform and in both frameworks."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from _embedding_platforms import EMBEDDING
from _rows import EMBEDDING_CASES, FRAMEWORKS, TOO_LONG, embeddings_of, emulator_of_rows

from mdstream_core import errors
from mdstream_core.batch import EmbedColumn, RowError, summarize
from mdstream_core.batching.row_plan import distribute
from mdstream_core.emulator import Emulator, Fault

in_both = pytest.mark.parametrize("framework", FRAMEWORKS)


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[Emulator]:
    """One emulator for the module."""
    with emulator_of_rows() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Emulator:
    """The module's emulator, reset."""
    shared_emulator.reset()
    return shared_emulator


def failed_rows(out: dict[str, Any]) -> list[int]:
    return [index for index, error in enumerate(out["error"]) if error is not None]


@in_both
@pytest.mark.parametrize("case", EMBEDDING_CASES.values(), ids=EMBEDDING_CASES)
def test_each_text_gets_its_vector(framework: str, case: Any, emulator: Emulator) -> None:
    """
    The vectors are those of the model's own method, in order; the input is not changed.
    """
    embeddings = embeddings_of(framework, emulator, case)
    batch = {"id": [1, 2, 3], "text": ["Rome", "Paris", "Oslo"]}
    out = EmbedColumn(embeddings, "text")(batch)

    assert {"id": [1, 2, 3], "text": ["Rome", "Paris", "Oslo"]} == batch
    assert [item.vector for item in embeddings.embed(batch["text"]).embeddings] == out["vector"]
    assert [None] * 3 == out["error"] == out["partial"] == out["output_tokens"]
    assert [1, 2, 3] == out["id"]


@in_both
def test_bad_texts_are_alone_with_their_error(
    framework: str, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The batch is divided until they are; all other rows have vectors, and no more requests than needed are sent.
    """
    caplog.set_level(logging.INFO, "mdstream.batch")
    texts: list[Any] = [f"text {index}" for index in range(64)]
    texts[5] = texts[40] = TOO_LONG
    out = EmbedColumn(embeddings_of(framework, emulator), "text")({"text": texts})

    assert [5, 40] == failed_rows(out)
    assert all(vector is not None for index, vector in enumerate(out["vector"]) if index not in {5, 40})
    assert out["error"][5].startswith("ContextOverflow BadRequestError: 400")
    assert len(emulator.requests) <= 1 + 2 * 2 * 6
    assert out["request_id"][5]
    records = [record for record in caplog.records if record.name == "mdstream.batch"]
    assert "batch of 64 rows: 62 succeeded, 2 failed" == records.pop().getMessage()
    assert {"a batch of 64 inputs is divided, because of ContextOverflow 400 BadRequestError"} < {
        record.getMessage() for record in records
    }


@in_both
@pytest.mark.parametrize("case", ["OCI model deployment, TEI", "SageMaker TEI"])
def test_tei_names_a_size_that_is_no_limit_of_the_batch(framework: str, case: str, emulator: Emulator) -> None:
    """
    413, as for a body that is too large: the text that is too long is alone nevertheless.
    """
    texts = ["a", "b", TOO_LONG, "c", "d", "e"]
    out = EmbedColumn(embeddings_of(framework, emulator, EMBEDDING[case]), "text")({"text": texts})

    assert [2] == failed_rows(out)


@in_both
def test_values_that_are_no_text_are_not_sent(framework: str, emulator: Emulator) -> None:
    """
    Nulls and numbers get an error, and no request has them.
    """
    out = EmbedColumn(embeddings_of(framework, emulator), "text")({"text": ["a", None, 5, float("nan"), ["b"]]})

    assert [1, 2, 3, 4] == failed_rows(out)
    assert ["RowError MissingValue", "RowError InvalidValue"] == [out["error"][i].partition(":")[0] for i in (1, 2)]
    assert [["a"]] == [request.json["input"] for request in emulator.requests]


@in_both
def test_a_batch_without_texts_sends_nothing(framework: str, emulator: Emulator) -> None:
    """
    Also an empty batch.
    """
    column = EmbedColumn(embeddings_of(framework, emulator), "text")

    assert [] == column({"text": []})["vector"]
    assert [None] == column({"text": [None]})["vector"]
    assert [] == emulator.requests


@in_both
def test_tokens_of_a_request_are_distributed(framework: str, emulator: Emulator) -> None:
    """
    Their sum is the one that the server reports.
    """
    texts = ["one", "one two three four", "one two"]
    embeddings = embeddings_of(framework, emulator)
    out = EmbedColumn(embeddings, "text")({"text": texts})

    assert embeddings.embed(texts).usage.input == sum(out["input_tokens"])
    assert out["input_tokens"][1] == max(out["input_tokens"])


@pytest.mark.parametrize(("total", "weights"), [(0, [1, 2]), (7, [0, 0, 0]), (1, [5]), (10**6, [3, 1, 4, 1, 5])])
def test_the_distribution_is_exact(total: int, weights: list[int]) -> None:
    """
    No share is negative.
    """
    shares = distribute(total, weights)

    assert total == sum(shares)
    assert len(weights) == len(shares)
    assert min(shares) >= 0


@in_both
def test_a_server_that_is_unavailable_fails_its_rows_only(framework: str, emulator: Emulator) -> None:
    """
    The rows of the failed request have its error; it is not divided, and the other requests are sent.
    """
    emulator.script(Fault("refuse", "unavailable"))
    out = EmbedColumn(embeddings_of(framework, emulator, batch_size=4), "text", max_concurrency=1)({"text": ["x"] * 12})

    assert [0, 1, 2, 3] == failed_rows(out)
    assert out["error"][0].startswith("ServerError")
    assert 3 == len(emulator.requests)


@in_both
def test_a_500_may_be_because_of_a_text(framework: str, emulator: Emulator) -> None:
    """
    So the batch is divided, and here all rows have vectors.
    """
    emulator.script(Fault("refuse", "internal"))
    out = EmbedColumn(embeddings_of(framework, emulator), "text")({"text": ["x"] * 8})

    assert [] == failed_rows(out)
    assert [8, 4, 4] == [len(request.json["input"]) for request in emulator.requests]


@in_both
def test_retries_are_the_calls_own(framework: str, emulator: Emulator) -> None:
    """
    A 503 that goes away is no error.
    """
    emulator.script(Fault("refuse", "unavailable", retry_after="0"))
    out = EmbedColumn(embeddings_of(framework, emulator, max_retries=1), "text")({"text": ["x"] * 8})

    assert [] == failed_rows(out)
    assert 2 == len(emulator.requests)


@in_both
@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        ("not_authenticated", errors.AuthenticationError),
        ("not_allowed", errors.PermissionDenied),
        ("not_found", errors.NotFound),
    ],
)
def test_errors_of_every_row_are_raised(
    framework: str, spelling: str, kind: type[errors.MDStreamError], emulator: Emulator
) -> None:
    """
    With the rows that were finished before; `on_error="row"` makes them errors of rows.
    """
    emulator.script(None, Fault("refuse", spelling))
    embeddings = embeddings_of(framework, emulator, batch_size=2)
    with pytest.raises(kind) as raised:
        EmbedColumn(embeddings, "text", max_concurrency=1)({"text": ["a", "b", "c", "d", "e"]})
    finished = vars(raised.value)["batch"]

    assert 2 == len(emulator.requests)
    assert [True, True, False, False, False] == [vector is not None for vector in finished["vector"]]
    assert ["RowError NotSent"] * 3 == [error.partition(":")[0] for error in finished["error"][2:]]

    emulator.script(Fault("refuse", spelling))
    out = EmbedColumn(embeddings, "text", max_concurrency=1, on_error="row")({"text": ["a", "b", "c", "d", "e"]})
    assert [0, 1] == failed_rows(out)
    assert kind.__name__ == out["error"][0].split()[0]


@in_both
def test_on_error_raise_raises_the_first_error(framework: str, emulator: Emulator) -> None:
    """
    Of a row, or of a request.
    """
    column = EmbedColumn(embeddings_of(framework, emulator), "text", on_error="raise")

    with pytest.raises(errors.ContextOverflow):
        column({"text": ["a", TOO_LONG]})
    with pytest.raises(RowError, match="the value of 'text' is null"):
        column({"text": ["a", None]})


@in_both
def test_the_output_of_an_earlier_run_is_completed(framework: str, emulator: Emulator) -> None:
    """
    Only the rows without a vector are sent.
    """
    column = EmbedColumn(embeddings_of(framework, emulator, batch_size=1), "text", max_concurrency=1)
    emulator.script(None, Fault("refuse", "unavailable"))
    first = column({"text": ["a", "b", "c"]})
    emulator.reset()
    second = column(first)

    assert [1] == failed_rows(first)
    assert [["b"]] == [request.json["input"] for request in emulator.requests]
    assert [] == failed_rows(second)
    assert [first["vector"][0], first["vector"][2]] == [second["vector"][0], second["vector"][2]]
    assert list(first) == list(second)


@in_both
def test_two_columns_in_a_row_need_prefixes(framework: str, emulator: Emulator) -> None:
    """
    Without one the second would replace the errors of the first.
    """
    embeddings = embeddings_of(framework, emulator)
    out = EmbedColumn(embeddings, "title", into="title_vector", prefix="title_")({"title": ["a"], "text": ["b"]})
    both = EmbedColumn(embeddings, "text")(out)

    assert [*out, "vector", "error", "partial", "input_tokens", "output_tokens", "request_id"] == list(both)
    with pytest.raises(ValueError, match=r"already has the output columns error, .* and not other \(hint: set into="):
        EmbedColumn(embeddings, "text", into="other")(both)


@in_both
def test_a_missing_column_is_named(framework: str, emulator: Emulator) -> None:
    """
    With the nearest name and all names.
    """
    column = EmbedColumn(embeddings_of(framework, emulator), "text")

    with pytest.raises(ValueError, match=r"no column 'text'; did you mean 'Text'\? \(hint: its columns are id, Text\)"):
        column({"id": [1], "Text": ["a"]})
    with pytest.raises(ValueError, match="have different lengths"):
        column({"text": ["a"], "id": [1, 2]})
    with pytest.raises(TypeError, match=r"a batch has the type list \(hint: pass a dict of columns"):
        column(["a"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": ""}, "column='' is no name of a column"),
        ({"into": 5}, "into=5 is no name"),
        ({"into": "text"}, "the column 'text' has two uses"),
        ({"into": "error"}, "the column 'error' has two uses"),
        ({"prefix": None}, "prefix=None has the type NoneType"),
        ({"max_concurrency": 0}, "max_concurrency=0 must be an integer of 1 or more"),
        ({"max_concurrency": True}, "max_concurrency=True must be"),
        ({"on_error": "rows"}, "on_error='rows' is unknown; did you mean 'row'?"),
    ],
)
def test_invalid_arguments_are_named(options: dict[str, Any], message: str, emulator: Emulator) -> None:
    """
    When the column is created, not in a worker.
    """
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        EmbedColumn(embeddings_of("langchain", emulator), **{"column": "text", **options})
    with pytest.raises(TypeError, match=r"embeddings has the type str \(hint: pass an embedding model"):
        EmbedColumn("model", "text")  # type: ignore[arg-type]


def test_the_summary_adds_up(emulator: Emulator) -> None:
    """
    Over batches, and over summaries.
    """
    column = EmbedColumn(embeddings_of("langchain", emulator), "text")
    out = column({"text": ["a b", None, TOO_LONG, None]})
    one, many = summarize(out), summarize(iter([out, out]))

    assert (4, 1, 3) == (one.rows, one.succeeded, one.failed)
    assert {"RowError MissingValue": 2, "ContextOverflow BadRequestError": 1} == one.failures
    assert one + one == many
    assert str(many).startswith("8 rows: 2 succeeded, 6 failed (RowError MissingValue: 4, ContextOverflow")
    with pytest.raises(ValueError, match="the batch has no column 'x_error'"):
        summarize(out, prefix="x_")
