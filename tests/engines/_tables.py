"""Jobs of engines that write Parquet by partition: their input, their columns, and their output."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from _jobs import ROWS, requested_texts

from mdstream_core.batch import finished_ids
from mdstream_core.emulator import Emulator, Fault

#: Faults of single responses: rejected, and interrupted after it has begun.
REJECTED = Fault("refuse", "internal")
INTERRUPTED = (Fault("trailer", after=1), Fault("cut", after=1))

#: The column of the recipes, and its model: with small requests, for streams, and with a credential.
_EMBED = 'EmbedColumn(embeddings.model_copy(update={"rate_limit": limit}), "text", into="vector")'
_SMALL = _EMBED.replace('"rate_limit": limit', '"rate_limit": limit, "batch_size": 8')
_GENERATE = (
    "GenerateColumn(ChatOCIModelDeployment(endpoint=embeddings.endpoint, auth_type='none', streaming=True, "
    "rate_limit=limit), 'text')"
)
_IMPORTS = "from langchain_mdstream import ChatOCIModelDeployment\nfrom mdstream_core.batch import GenerateColumn\n"


def write_texts(folder: Path) -> list[str]:
    """Write the input of a job, with the index of each text as its id, and return the texts."""
    texts = [f"Text {index} names a river." for index in range(ROWS)]
    (folder / "texts").mkdir()
    pq.write_table(pa.table({"id": range(ROWS), "text": texts}), folder / "texts/part-0.parquet")
    return texts


def read_output(folder: Path) -> pa.Table:
    """Return the output, ordered by id."""
    return pq.read_table(folder / "vectors").sort_by("id")


def written_ids(folder: Path) -> set[Any]:
    """Return the ids of the rows in finished files."""
    return set(finished_ids(folder / "vectors", "id").to_pylist())


def requested_rows(emulator: Emulator, texts: list[str]) -> dict[str, int]:
    """Return how often each text of the input was in a request; examples of the page that run before are left out."""
    counts = requested_texts(emulator)
    return {text: counts[text] for text in texts if text in counts}


def small_requests(code: str) -> str:
    """Change the column of a recipe: 8 texts in each request."""
    return _replace(code, _EMBED, _SMALL)


def generating(code: str) -> str:
    """Change the column of a recipe: it generates texts, from streams."""
    return _IMPORTS + _replace(code, _EMBED, _GENERATE)


def reading_column(code: str, name: str) -> str:
    """Change the name of the column that a recipe embeds."""
    return _replace(code, '"text", into=', f'"{name}", into=')


def with_secret(code: str, secret: str) -> str:
    """Change the credential of a recipe: an API key, which is not pickled."""
    return _replace(code, 'auth_type="none"', f'api_key="{secret}"')


def _replace(code: str, old: str, new: str) -> str:
    assert old in code
    return code.replace(old, new)
