"""Columns on tables of pandas and Arrow: the same kind comes out, and the types do not depend on the values."""

from typing import Any

import pytest
from _rows import FRAMEWORKS, TOO_LONG, chat_of, embeddings_of, emulator_of_rows

from mdstream_core.batch import EmbedColumn, GenerateColumn, summarize
from mdstream_core.emulator import Fault

pd: Any = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
pa: Any = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
np: Any = pytest.importorskip("numpy", reason="numpy is not installed: pip install numpy")

in_both = pytest.mark.parametrize("framework", FRAMEWORKS)
DATA = {"id": [1, 2, 3, 4], "text": ["Rome", None, TOO_LONG, "Oslo"]}
SCHEMA = {"title": "City", "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

#: kind of table: from a dict to the table, and from the table to a dict.
KINDS: dict[str, Any] = {
    "pandas": (pd.DataFrame, lambda table: table.astype(object).where(table.notna(), None).to_dict("list")),
    "table": (pa.table, lambda table: table.to_pydict()),
    "batch": (pa.RecordBatch.from_pydict, lambda table: table.to_pydict()),
    "chunks": (lambda data: pa.concat_tables([pa.table(data).slice(0, 1), pa.table(data).slice(1)]), lambda table: table.to_pydict()),
    "numpy": (
        lambda data: {name: np.array(values, dtype=object) for name, values in data.items()},
        lambda table: {name: values.tolist() for name, values in table.items()},
    ),
}  # fmt: skip
each_kind = pytest.mark.parametrize("kind", KINDS)


@in_both
@each_kind
def test_the_same_kind_comes_out(framework: str, kind: str) -> None:
    """
    With the results of a dict; the input is not changed.
    """
    create, to_dict = KINDS[kind]
    with emulator_of_rows() as emulator:
        column = EmbedColumn(embeddings_of(framework, emulator), "text")
        expected, table = column(DATA), create(DATA)
        names = list(table) if isinstance(table, dict) else list(getattr(table, "column_names", table.columns))
        out = column(table)
    values = to_dict(out)

    assert type(table) is type(out)
    assert ["id", "text"] == names
    assert DATA == to_dict(table)
    assert list(expected) == list(values)
    assert [1, 2, 3, 4] == values["id"]
    for name in ("error", "partial", "input_tokens", "output_tokens"):
        assert expected[name] == values[name], name
    for one, other in zip(expected["vector"], values["vector"], strict=True):
        assert (one is None and other is None) or np.allclose(one, other)


@each_kind
def test_vectors_have_32_bits(kind: str) -> None:
    """
    Numpy arrays, or one flat Arrow buffer.
    """
    create, _ = KINDS[kind]
    with emulator_of_rows() as emulator:
        out = EmbedColumn(embeddings_of("langchain", emulator), "text")(create(DATA))
    if kind in {"pandas", "numpy"}:
        vector = out["vector"][0]
        assert isinstance(vector, np.ndarray)
        assert np.float32 == vector.dtype
        assert out["vector"][1] is None
    else:
        array = out.column("vector")
        array = array.combine_chunks() if kind != "batch" else array
        assert pa.list_(pa.float32()) == array.type
        assert 2 * 8 == len(array.flatten())


@each_kind
def test_the_types_do_not_depend_on_the_values(kind: str) -> None:
    """
    Batches without a failure, with failures only, and without rows have equal types.
    """
    create, _ = KINDS[kind]
    batches = [DATA, {"id": [1], "text": ["Rome"]}, {"id": [1], "text": [TOO_LONG]}, {"id": [], "text": []}]
    tables = [create(batch) for batch in batches]
    if kind != "numpy":
        tables[3] = tables[1].iloc[:0] if kind == "pandas" else tables[1].slice(0, 0)
    with emulator_of_rows() as emulator:
        embed = EmbedColumn(embeddings_of("langchain", emulator), "text", prefix="vector_")
        generate = GenerateColumn(chat_of("langchain", emulator), "text", schema=SCHEMA)
        outs = [generate(embed(table)) for table in tables]
    if kind == "pandas":
        assert 1 == len({tuple(out.dtypes[2:].items()) for out in outs})
        assert all(out.dtypes.equals(generate.pandas_meta(embed.pandas_meta(table)).dtypes) for out, table in zip(outs, tables, strict=True))  # fmt: skip
        assert ["string", "Int64", "object"] == [str(outs[2].dtypes[name]) for name in ("error", "input_tokens", "vector")]  # fmt: skip
    elif kind != "numpy":
        expected = generate.arrow_schema(embed.arrow_schema(tables[0].schema))
        assert all(expected == out.schema for out in outs)
        assert pa.string() == expected.field("answer").type
    else:
        assert {"object"} == {str(values.dtype) for out in outs for name, values in out.items() if name != "id"}


def test_the_output_columns_alone_have_a_schema() -> None:
    """
    What an engine appends to the schema of its input.
    """
    with emulator_of_rows() as emulator:
        column = EmbedColumn(embeddings_of("langchain", emulator), "text", into="v", prefix="v_")

    assert [
        "v",
        "v_error",
        "v_partial",
        "v_input_tokens",
        "v_output_tokens",
        "v_request_id",
    ] == column.arrow_schema().names
    assert column.output_names == list(column.pandas_meta().columns) == column.arrow_schema().names


@in_both
@each_kind
def test_the_output_of_an_earlier_run_is_completed(framework: str, kind: str) -> None:
    """
    Rows with a value are neither sent nor changed.
    """
    create, to_dict = KINDS[kind]
    with emulator_of_rows() as emulator:
        column = GenerateColumn(chat_of(framework, emulator), "text", max_concurrency=1)
        emulator.script(None, Fault("refuse", "unavailable"))
        first = column(create({"text": ["Rome", "Oslo", "Bern"]}))
        emulator.reset()
        second = column(first)
        sent = [request.json["messages"][-1]["content"] for request in emulator.requests]

    assert ["Oslo"] == sent
    assert [True, False, True] == [value is not None for value in to_dict(first)["answer"]]
    assert [None] * 3 == to_dict(second)["error"]
    assert type(first) is type(second)
    assert (3, 1) == (summarize(first).rows, summarize(first).failed)


@in_both
def test_messages_survive_tables(framework: str) -> None:
    """
    Arrow fills fields that a message lacks with null, and pandas returns arrays.
    """
    messages = [{"role": "user", "content": "Name three rivers."}, {"role": "assistant", "content": "A", "name": "x"}]
    messages.append({"role": "user", "content": "Name three rivers."})
    table = pa.table({"messages": [messages]})
    with emulator_of_rows() as emulator:
        column = GenerateColumn(chat_of(framework, emulator, temperature=0), "messages")
        outputs = [column(table)["answer"][0].as_py(), column(table.to_pandas())["answer"][0]]

    assert ["The Nile, the Amazon and the Danube."] * 2 == outputs


def test_the_index_of_a_frame_is_kept() -> None:
    """
    Also one with repetitions, and a frame with two columns of the same name is an error.
    """
    frame = pd.DataFrame({"text": ["a", "b", "c"]}, index=[7, 7, 3])
    with emulator_of_rows() as emulator:
        column = EmbedColumn(embeddings_of("langchain", emulator), "text")
        out = column(frame)
        with pytest.raises(ValueError, match="the batch has 2 columns 'text'"):
            column(pd.concat([frame, frame], axis=1))

    assert [7, 7, 3] == list(out.index)
    assert ["text"] == list(frame.columns)
