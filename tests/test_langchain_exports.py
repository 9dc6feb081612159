"""The names that `langchain_mdstream` exports, which are imported when they are first used."""

import subprocess
import sys

import pytest
from langchain_core.load.load import ALL_SERIALIZABLE_MAPPINGS
from langchain_core.load.serializable import Serializable

import langchain_mdstream


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_chat_model_imports_no_other_kind_of_model():
    code = (
        "import sys; from langchain_mdstream import ChatOCIModelDeployment; "
        "print([name for name in ('deployments', 'embeddings', 'llms', 'rerankers') "
        "if f'langchain_mdstream.{name}' in sys.modules])"
    )
    assert run(code) == "[]"


def test_all_names_can_be_imported():
    assert run("from langchain_mdstream import *; print(SagemakerEndpointRerank.__name__)") == "SagemakerEndpointRerank"
    assert set(langchain_mdstream.__all__) <= set(dir(langchain_mdstream))
    assert {*langchain_mdstream._MODULES, "RateLimit", "__version__", "register"} == set(langchain_mdstream.__all__)


def test_modules_are_attributes_of_the_package():
    code = "import langchain_mdstream; print(langchain_mdstream.embeddings.ModelArtsEmbeddings.__name__)"
    assert run(code) == "ModelArtsEmbeddings"


def test_an_unknown_name_raises_attribute_error():
    with pytest.raises(AttributeError, match="'langchain_mdstream' has no attribute 'ChatOracle'"):
        _ = langchain_mdstream.ChatOracle


def test_every_serializable_class_is_in_the_table_of_langchain():
    exported = [getattr(langchain_mdstream, name) for name in langchain_mdstream.__all__]
    serializable = [
        cls for cls in exported if isinstance(cls, type) and issubclass(cls, Serializable) and cls.is_lc_serializable()
    ]
    assert len(serializable) == 14
    for cls in serializable:
        assert ALL_SERIALIZABLE_MAPPINGS[tuple(cls.lc_id())] == tuple(cls.lc_id())


def test_a_model_is_loaded_before_its_module_is_imported():
    code = (
        "import langchain_mdstream, sys\n"
        "from langchain_core.load import load\n"
        "assert 'langchain_mdstream.llms' not in sys.modules\n"
        "saved = {'lc': 1, 'type': 'constructor', 'id': ['langchain_mdstream', 'llms', 'OCIModelDeploymentLLM'],\n"
        "         'kwargs': {'endpoint': 'http://127.0.0.1:1/x', 'auth_type': 'none'}}\n"
        "print(type(load(saved, valid_namespaces=['langchain_mdstream'], allowed_objects='all')).__name__)"
    )
    assert run(code) == "OCIModelDeploymentLLM"
