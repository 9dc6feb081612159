"""Every platform has a row in each table that has one for each platform: what a new platform must not forget.

The steps of "Add a platform" in docs/architecture.md name the same tables.
"""

from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import _embedding_platforms
import _langchain_platforms
import _llamaindex_embeddings
import _platforms
import pytest
from langchain_core.messages.block_translators import get_translator
from llama_index.core.embeddings.loading import RECOGNIZED_EMBEDDINGS
from llama_index.core.llms.loading import RECOGNIZED_LLMS

import langchain_mdstream
import llamaindex_mdstream
from langchain_mdstream import _demo as langchain_demo
from langchain_mdstream import _registration, _server_info
from langchain_mdstream._content_blocks import message_blocks
from llamaindex_mdstream import _demo as llamaindex_demo
from llamaindex_mdstream import _platform_fields
from llamaindex_mdstream.testing._services import SERVICES
from mdstream_core import platforms
from mdstream_core.cli import _credentials, _demo, _emulate, _endpoints, _help, _platform_names
from mdstream_core.cli.check import _network, _service
from mdstream_core.emulator import Emulator
from mdstream_core.otel import _attributes

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(getattr(platforms, name).name for name in platforms.__all__ if name != "Platform")
on_each_platform = pytest.mark.parametrize("name", NAMES)

#: Tables by `Platform.name`.
TABLES: dict[str, Collection[str]] = {
    "otel/_attributes.py _PROVIDERS": _attributes._PROVIDERS,
    "cli/_platform_names.py PLATFORM_NAMES": _platform_names.PLATFORM_NAMES,
    "cli/_platform_names.py _ALIASES": _platform_names._ALIASES,
    "cli/_endpoints.py _ADDRESS_PATTERNS": {platform for _, platform, _ in _endpoints._ADDRESS_PATTERNS},
    "cli/_endpoints.py _PATTERNS_BY_PLATFORM": _endpoints._PATTERNS_BY_PLATFORM,
    "cli/_endpoints.py _BUILDERS": _endpoints._BUILDERS,
    "cli/_credentials.py _RESOLVERS": _credentials._RESOLVERS,
    "cli/_help.py ENDPOINT_FORMS": _help.ENDPOINT_FORMS.split(),
    "cli/_demo.py _FAILURES": _demo._FAILURES,
    "cli/check/_network.py MAX_CLOCK_SKEW": _network.MAX_CLOCK_SKEW,
    "cli/check/_service.py _KEY_HINTS": _service._KEY_HINTS,
    "cli/check/_service.py _PERMISSION_HINTS": _service._PERMISSION_HINTS,
    "langchain_mdstream/_demo.py MODELS": langchain_demo.MODELS,
    "llamaindex_mdstream/_demo.py MODELS": llamaindex_demo.MODELS,
    "tests/_platforms.py PLATFORM_CASES": {case.kind for case in _platforms.PLATFORM_CASES.values()},
    "tests/_langchain_platforms.py CHAT": _langchain_platforms.CHAT,
    "tests/_llamaindex_embeddings.py _LLMS": _llamaindex_embeddings._LLMS,
    "tests/_llamaindex_embeddings.py _EMBEDDINGS": _llamaindex_embeddings._EMBEDDINGS,
    "tests/_llamaindex_embeddings.py _RERANKERS": _llamaindex_embeddings._RERANKERS,
    "tests/_embedding_platforms.py EMBEDDING": {case.kind for case in _embedding_platforms.EMBEDDING.values()},
    "tests/_embedding_platforms.py RANKING": {case.kind for case in _embedding_platforms.RANKING.values()},
}

#: Tables by the same name with underscores.
TABLES_IN_PYTHON: dict[str, Collection[str]] = {
    "emulator/emulator.py, a property of Emulator": dir(Emulator),
    "langchain_mdstream/_registration.py _CHAT": _registration._CHAT,
    "langchain_mdstream/_registration.py _EMBEDDINGS": _registration._EMBEDDINGS,
    "langchain_mdstream/_server_info.py, one of its two tables": {
        *_server_info._SUPPORTED_PROVIDERS,
        *_server_info._UNSUPPORTED_REASONS,
    },
    "llamaindex_mdstream/testing/_services.py SERVICES": SERVICES,
}


@on_each_platform
@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_platform(table: str, name: str) -> None:
    """By the name that hooks, OpenTelemetry and the command line use."""
    assert name in TABLES[table], f"add a row to {table}"


@on_each_platform
@pytest.mark.parametrize("table", TABLES_IN_PYTHON)
def test_a_table_has_the_name_with_underscores(table: str, name: str) -> None:
    """As in LangChain's `model_provider` and in the emulator."""
    assert name.replace("-", "_") in TABLES_IN_PYTHON[table], f"add a row to {table}"


@on_each_platform
def test_langchain_has_four_classes(name: str) -> None:
    """Chat model, completion model, embeddings and reranker; the content blocks of its messages are translated."""
    provider = name.replace("-", "_")
    exported = [getattr(langchain_mdstream, exported) for exported in langchain_mdstream.__all__]
    classes = [cls for cls in exported if getattr(cls, "provider_name", "") == provider]
    translator: dict[str, Any] = get_translator(provider) or {}

    assert {"chat", "completions", "embeddings", "rerank"} == {cls.model_kind for cls in classes} - {"guardrails"}
    assert message_blocks is translator.get("translate_content")


def mixin_modules() -> Iterator[str]:
    """The modules with the mixins of LlamaIndex's exported classes."""
    for exported in llamaindex_mdstream.__all__:
        for base in getattr(llamaindex_mdstream, exported).__mro__:
            if issubclass(base, _platform_fields.PlatformFields) and base.__name__.endswith("Mixin"):
                yield base.__module__


def test_llamaindex_knows_the_fields_of_every_mixin() -> None:
    """A model connects again when a field of its platform changes: `_platform_fields.py _MIXIN_MODULES`."""
    assert set() == {*mixin_modules()} - _platform_fields._MIXIN_MODULES


def test_llamaindex_can_load_every_class() -> None:
    """`load_llm` and `load_embed_model` know the classes: `register` in the modules of llms/ and embeddings/."""
    bases = (llamaindex_mdstream.MDStreamLLM, llamaindex_mdstream.MDStreamEmbedding)
    exported = [getattr(llamaindex_mdstream, name) for name in llamaindex_mdstream.__all__]
    known = {*RECOGNIZED_LLMS.values(), *RECOGNIZED_EMBEDDINGS.values()}

    assert [] == [cls for cls in exported if issubclass(cls, bases) and cls not in {*bases, *known}]


@on_each_platform
def test_the_emulator_command_prints_its_address(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`mdstream emulate`: cli/_emulate.py."""
    with Emulator() as emulator:
        _emulate._print_addresses(emulator)

    assert f"\n{name} " in f"\n{capsys.readouterr().out}"


@on_each_platform
def test_the_documentation_has_the_platform(name: str) -> None:
    """The API reference, the forms of ENDPOINT, the provider of OpenTelemetry, the addresses of the emulator."""
    pages = {path: (ROOT / "docs" / path).read_text(encoding="utf-8") for path in ("api/platforms.md", "cli.md", "emulator.md", "logging-and-tracing.md")}  # fmt: skip
    (cls,) = [cls for cls in map(platforms.__dict__.get, platforms.__all__) if getattr(cls, "name", "") == name]

    assert f"mdstream_core.{cls.__name__} " in pages["api/platforms.md"]
    assert f"| `{name}` |" in pages["cli.md"]
    assert f"`{_attributes._PROVIDERS[name]}`" in pages["logging-and-tracing.md"]
    assert f"| `emulator.{name.replace('-', '_')}`: " in pages["emulator.md"]


@on_each_platform
def test_there_are_modules_of_its_name(name: str) -> None:
    """The platform and the emulator's service are where their names say."""
    module = name.replace("-", "_")

    assert import_module(f"mdstream_core.platforms.{module}").__doc__
    assert import_module(f"mdstream_core.emulator.services.{module}").__doc__
