"""Constructor calls as other packages document them, with placeholders for loopback addresses.

Sources: `oci` langchain-oci 0.4.0, `community` langchain-community 0.4.2, `aws` langchain-aws 1.9.1 (their wheels);
`docs` docs.langchain.com; `samples` oracle/langchain-oracle @b99bb1a, folder samples.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessageChunk

import langchain_mdstream as ours

#: Placeholders for addresses of the emulator; see `Move.filled`.
DEPLOYMENT, SERVICE, COMPARTMENT, BOTO3 = "<deployment>/predict", "<service>", "<compartment>", "<boto3 client>"
DEDICATED = "ocid1.generativeaiendpoint.oc1.us-chicago-1.amaaaaaa"


class Completions:
    """Handler of the docs (llms/sagemaker), which reads a file."""

    content_type = "application/json"
    accepts = "application/json"

    def transform_input(self, prompt: str, model_kwargs: dict[str, Any]) -> bytes:
        return json.dumps({"inputs": prompt, "parameters": model_kwargs}).encode("utf-8")

    def transform_output(self, output: Any) -> str:
        return str(json.loads(output.read().decode("utf-8"))[0]["generated_text"])


class Lines(ours.LLMContentHandler):
    """Handler of a stream of JSON lines (aws, its integration tests), with `stream` as in AWS's article."""

    content_type = "application/json"
    accepts = "application/json"

    def transform_input(self, prompt: str, model_kwargs: dict[str, Any]) -> bytes:
        return json.dumps({"inputs": prompt, "stream": True, **model_kwargs}).encode()

    def transform_output(self, output: Any) -> str:
        return str(json.loads(output)["outputs"][0])


class Dialogue(Completions):
    """Handler of JumpStart's Llama 2 (in public repositories, with accept_eula)."""

    def transform_input(self, prompt: str, model_kwargs: dict[str, Any]) -> bytes:
        return json.dumps({"inputs": [[{"role": "user", "content": prompt}]], **model_kwargs}).encode()

    def transform_output(self, output: Any) -> str:
        return str(json.loads(output.read().decode("utf-8"))[0]["generation"]["content"])


class Chat(ours.ChatModelContentHandler):
    """Handler of OpenAI's events (aws, its tests): each line is a message chunk."""

    content_type = "application/json"
    accepts = "application/json"

    def transform_input(self, prompt: Any, model_kwargs: dict[str, Any]) -> bytes:
        return json.dumps({"messages": prompt, "stream": True, "max_tokens": 64}).encode()

    def transform_output(self, output: Any) -> AIMessageChunk:
        line = output.decode().strip().removeprefix("data: ")
        if not line or line == "[DONE]":
            return AIMessageChunk("")
        choices = json.loads(line)["choices"]
        return AIMessageChunk((choices[0]["delta"].get("content") or "") if choices else "")


class Vectors(ours.EmbeddingsContentHandler):
    """Handler of TEI's bare list (docs, text_embedding/sagemaker-endpoint; there with a key `vectors`)."""

    content_type = "application/json"
    accepts = "application/json"

    def transform_input(self, inputs: list[str], model_kwargs: dict[str, Any]) -> bytes:
        return json.dumps({"inputs": inputs, **model_kwargs}).encode("utf-8")

    def transform_output(self, output: Any) -> list[list[float]]:
        vectors: list[list[float]] = json.loads(output.read().decode("utf-8"))
        return vectors


@dataclass(frozen=True)
class Move:
    """One documented call.

    Args:
        model: Class of this package with the same name.
        options: Its arguments, with placeholders.
        source: Where it is documented.
        methods: The calls to run: `whole`, `stream`, or `""` if it is only built here.
    """

    model: Any
    options: Mapping[str, Any]
    source: str
    methods: tuple[str, ...] = ("whole", "stream")

    def filled(self, platforms: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments with the emulator's addresses."""
        return {name: _filled(value, platforms) for name, value in self.options.items()}


def _filled(value: Any, platforms: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    if value in platforms:
        return platforms[value]
    return value.replace("<deployment>", str(platforms["<deployment>"]))


WHOLE, BUILT = ("whole",), ("",)
_GENAI = {"service_endpoint": SERVICE, "compartment_id": COMPARTMENT}
_LLAMA = {"model_id": "meta.llama-3.3-70b-instruct", **_GENAI}
_SCOUT = {"model_id": "meta.llama-4-scout-17b-16e-instruct", **_GENAI}
_ROUTE = {"route": "/v1/chat/completions"}

_DEPLOYMENTS = (
    Move(
        ours.ChatOCIModelDeployment,
        {
            "endpoint": DEPLOYMENT,
            "model": "odsc-llm",
            "streaming": True,
            "max_retries": 3,
            "model_kwargs": {"max_token": 512, "temperature": 0.2},
            "default_headers": _ROUTE,
        },
        "oci and community, chat_models/oci_data_science.py",
    ),
    Move(
        ours.ChatOCIModelDeployment,
        {
            "endpoint": DEPLOYMENT,
            "streaming": True,
            "max_retries": 1,
            "model_kwargs": {"temperature": 0.2, "max_tokens": 512},
            "default_headers": _ROUTE,
        },
        "oci, README; docs chat/oci_data_science",
    ),
    Move(ours.ChatOCIModelDeployment, {"endpoint": DEPLOYMENT}, "docs chat/oci_data_science"),
    Move(ours.ChatOCIModelDeployment, {"endpoint": DEPLOYMENT, "model": "odsc-llm"}, "docs providers/oci"),
    Move(
        ours.ChatOCIModelDeployment,
        {"endpoint": DEPLOYMENT, "model": "meta-llama/Meta-Llama-3-8B-Instruct"},
        "samples 07",
    ),
    Move(
        ours.ChatOCIModelDeploymentVLLM,
        {"endpoint": DEPLOYMENT, "frequency_penalty": 0.1, "max_tokens": 512, "temperature": 0.2, "top_p": 1.0},
        "oci and community, chat_models/oci_data_science.py",
    ),
    Move(ours.ChatOCIModelDeploymentVLLM, {"endpoint": DEPLOYMENT}, "oci, README; docs chat/oci_data_science"),
    Move(
        ours.ChatOCIModelDeploymentVLLM,
        {"endpoint": DEPLOYMENT, "model": "meta-llama/Llama-2-7b-chat-hf", "streaming": True},
        "docs providers/oci",
    ),
    Move(
        ours.ChatOCIModelDeploymentTGI,
        {"endpoint": DEPLOYMENT, "max_tokens": 512, "temperature": 0.2, "frequency_penalty": 0.1, "seed": 42},
        "oci and community, chat_models/oci_data_science.py (there max_token, which does nothing)",
    ),
    Move(ours.ChatOCIModelDeploymentTGI, {"endpoint": DEPLOYMENT}, "docs providers/oci"),
    Move(
        ours.OCIModelDeploymentLLM,
        {
            "endpoint": DEPLOYMENT,
            "model": "odsc-llm",
            "streaming": True,
            "model_kwargs": {"frequency_penalty": 1.0},
            "default_headers": {"route": "/v1/completions"},
        },
        "oci and community, llms (there headers, which do nothing)",
    ),
    Move(ours.OCIModelDeploymentLLM, {"endpoint": DEPLOYMENT, "model": "odsc-llm"}, "oci, README; docs llms"),
    Move(
        ours.OCIModelDeploymentVLLM,
        {
            "endpoint": DEPLOYMENT,
            "model": "odsc-llm",
            "streaming": False,
            "temperature": 0.2,
            "max_tokens": 512,
            "n": 3,
            "best_of": 3,
        },
        "oci and community, llms",
        WHOLE,
    ),
    Move(ours.OCIModelDeploymentVLLM, {"endpoint": DEPLOYMENT}, "oci, README; docs llms"),
    Move(
        ours.OCIModelDeploymentTGI,
        {"endpoint": DEPLOYMENT, "api": "/v1/completions", "streaming": True, "temperature": 0.2, "seed": 42},
        "oci and community, llms",
    ),
    Move(ours.OCIModelDeploymentTGI, {}, "docs llms/oci_model_deployment_endpoint, all in the environment"),
    Move(
        ours.OCIModelDeploymentEndpointEmbeddings,
        {"endpoint": DEPLOYMENT},
        "oci, embeddings/oci_data_science_model_deployment_endpoint.py; README",
        WHOLE,
    ),
)

_CHATS = (
    Move(
        ours.ChatOCIGenAI,
        {"model_id": "cohere.command-r-16k", **_GENAI, "model_kwargs": {"temperature": 0.7, "max_tokens": 500}},
        "oci and community, chat_models/oci_genai.py",
    ),
    Move(
        ours.ChatOCIGenAI,
        {
            "model_id": "xai.grok-4",
            **_GENAI,
            "model_kwargs": {"max_tokens": 1024},
            "auth_profile": "MY_PROFILE",
            "is_stream": True,
            "auth_type": "SECURITY_TOKEN",
        },
        "oci, README",
    ),
    Move(
        ours.ChatOCIGenAI,
        {
            "model_id": DEDICATED,
            "provider": "generic",
            **_GENAI,
            "auth_type": "SECURITY_TOKEN",
            "auth_profile": "MY_PROFILE",
            "model_kwargs": {"temperature": 0.7, "max_tokens": 500},
        },
        "oci, README",
    ),
    *(
        Move(ours.ChatOCIGenAI, {"model_id": name, **_GENAI}, source)
        for name, source in (
            ("meta.llama-3.2-90b-vision-instruct", "oci, README; samples 02, 09"),
            ("google.gemini-2.5-flash", "oci, README; samples 02, 09"),
            ("meta.llama-4-maverick-17b-128e-instruct-fp8", "oci, README"),
            ("meta.llama-3.3-70b-instruct", "docs providers/oci; samples 01, 05, 07, 09"),
            ("cohere.command-r-plus", "samples 09"),
            ("cohere.command-a-vision", "samples 02"),
            ("xai.grok-4", "samples 02, 09"),
            ("meta.llama-4-scout-17b-16e-instruct", "docs chat/oci_genai; samples 04"),
        )
    ),
    *(
        Move(ours.ChatOCIGenAI, {**_LLAMA, **auth}, "docs providers/oci; samples 01", methods)
        for auth, methods in (
            ({"auth_type": "API_KEY", "auth_profile": "DEFAULT"}, ("whole", "stream")),
            ({"auth_type": "SECURITY_TOKEN", "auth_profile": "MY_PROFILE"}, ("whole", "stream")),
            ({"auth_type": "INSTANCE_PRINCIPAL"}, BUILT),  # an instance's metadata service is not on loopback
            ({"auth_type": "RESOURCE_PRINCIPAL"}, ("whole", "stream")),
        )
    ),
    Move(
        ours.ChatOCIGenAI,
        {**_LLAMA, "model_kwargs": {"temperature": 0.7, "max_tokens": 500, "top_p": 0.9, "top_k": 50}},
        "docs chat/oci_genai; samples 01",
    ),
    Move(
        ours.ChatOCIGenAI,
        {
            "auth_profile": "DEFAULT",
            "model_id": "google.gemini-2.5-flash",
            **_GENAI,
            "model_kwargs": {"max_tokens": 99},
        },
        "samples 02, video_analysis.py",
    ),
    Move(ours.ChatOCIGenAI, {**_SCOUT, "max_sequential_tool_calls": 5}, "samples 04"),
    Move(ours.ChatOCIGenAI, {**_LLAMA, "tool_result_guidance": True}, "samples 04"),
    Move(ours.ChatOCIGenAI, {**_SCOUT, "max_sequential_tool_calls": 8, "tool_result_guidance": True}, "samples 04"),
    Move(
        ours.ChatOCIGenAI,
        {"auth_profile": "DEFAULT", "model_id": DEDICATED, "provider": "cohere", **_GENAI},
        "samples 09, cohere_examples.py",
    ),
    Move(ours.ChatOCIGenAI, {"model_id": DEDICATED, "provider": "meta", **_GENAI}, "samples 09"),
    Move(
        ours.ChatOCIGenAI,
        {
            **_LLAMA,
            "auth_type": "API_KEY",
            "auth_profile": "DEFAULT",
            "auth_file_location": "~/.oci/config",
            "model_kwargs": None,
        },
        "oci, agents/common.py",
    ),
)

_GENERATIVE_AI = (
    Move(ours.OCIGenAI, {"model_id": "cohere.command", **_GENAI}, "oci and community, llms/oci_genai.py"),
    Move(ours.OCIGenAI, {"model_id": "cohere.command-r-plus", **_GENAI}, "samples 01"),
    Move(
        ours.OCIGenAI,
        {"model_id": "cohere.command", **_GENAI, "model_kwargs": {"temperature": 0, "max_tokens": 500}},
        "docs llms/oci_genai",
    ),
    Move(
        ours.OCIGenAI,
        {
            "model_id": "cohere.command",
            **_GENAI,
            "auth_type": "SECURITY_TOKEN",
            "auth_profile": "MY_PROFILE",
            "auth_file_location": "~/.oci/config",
        },
        "docs llms/oci_genai",
    ),
    Move(
        ours.OCIGenAI,
        {"model_id": DEDICATED, **_GENAI, "auth_profile": "MY_PROFILE", "provider": "cohere"},
        "docs llms/oci_genai (there context_size too, which the class refuses)",
    ),
    *(
        Move(ours.OCIGenAIEmbeddings, {"model_id": name, **_GENAI, **more}, source, WHOLE)
        for name, more, source in (
            ("cohere.embed-v4.0", {}, "oci, README and embeddings/oci_genai.py; docs"),
            ("cohere.embed-english-v3.0", {}, "docs providers/oci; samples 10"),
            ("cohere.embed-english-v3.0", {"input_type": "SEARCH_DOCUMENT"}, "samples 10"),
            ("cohere.embed-english-v3.0", {"input_type": "SEARCH_QUERY"}, "samples 10"),
            ("cohere.embed-v4.0", {"output_dimensions": 256}, "samples 10"),
            ("cohere.embed-v4.0", {"auth_type": "API_KEY", "auth_profile": "DEFAULT"}, "oci, README; samples 11"),
        )
    ),
    Move(
        ours.OCIGenAIEmbeddings,
        {"model_id": "cohere.embed-v4.0", "compartment_id": COMPARTMENT},
        "langchain-ai/langchain#22985: the region is the profile's",
        BUILT,
    ),
    Move(
        ours.OCIGenAIRerank,
        {"model_id": "cohere.rerank-v4.0-fast", **_GENAI, "top_n": 3},
        "oci, document_compressors/oci_genai_rerank.py; README",
        WHOLE,
    ),
)

_WEST = {"region_name": "us-west-2"}
_PARAMETERS = {"parameters": {"max_new_tokens": 50}}

_SAGEMAKER = (
    *(
        Move(model, {"endpoint_name": name, **_WEST, "credentials_profile_name": "default"}, source, methods)
        for model, name, source, methods in (
            (ours.SagemakerEndpoint, "tgi", "aws and community, llms/sagemaker_endpoint.py", ("whole", "stream")),
            (ours.ChatSagemakerEndpoint, "emulated", "aws, chat_models/sagemaker_endpoint.py", ("whole", "stream")),
            (ours.SagemakerEndpointEmbeddings, "tei", "community, embeddings/sagemaker_endpoint.py", WHOLE),
        )
    ),
    *(
        Move(model, {"endpoint_name": name, "client": BOTO3}, source, methods)
        for model, name, source, methods in (
            (ours.SagemakerEndpoint, "tgi", "aws and community, llms/sagemaker_endpoint.py", ("whole", "stream")),
            (ours.ChatSagemakerEndpoint, "emulated", "aws, chat_models/sagemaker_endpoint.py", ("whole", "stream")),
            (ours.SagemakerEndpointEmbeddings, "tei", "community, embeddings/sagemaker_endpoint.py", WHOLE),
        )
    ),
    Move(
        ours.ChatSagemakerEndpoint,
        {"endpoint_name": "emulated", "inference_component_name": "my-component", **_WEST},
        "aws, chat_models/sagemaker_endpoint.py",
    ),
    Move(
        ours.SagemakerEndpoint,
        {
            "endpoint_name": "tgi",
            "client": BOTO3,
            "model_kwargs": {"temperature": 1e-10},
            "content_handler": Completions(),
        },
        "docs llms/sagemaker, another account",
        WHOLE,
    ),
    Move(
        ours.SagemakerEndpoint,
        {
            "endpoint_name": "tgi",
            "credentials_profile_name": "default",
            **_WEST,
            "model_kwargs": {"temperature": 1e-10},
            "content_handler": Completions(),
        },
        "docs llms/sagemaker",
        WHOLE,
    ),
    Move(
        ours.SagemakerEndpoint,
        {
            "endpoint_name": "lmi-dynamic",
            **_WEST,
            "content_handler": Lines(),
            "model_kwargs": _PARAMETERS,
            "client": BOTO3,
        },
        "aws, integration_tests/llms",
        ("stream",),
    ),
    Move(
        ours.SagemakerEndpoint,
        {
            "endpoint_name": "lmi-dynamic",
            "client": BOTO3,
            "content_handler": Lines(),
            "model_kwargs": {"parameters": {"max_new_tokens": 100, "top_p": 0.2}},
            "endpoint_kwargs": {"InferenceComponentName": "model-name"},
            "streaming": True,
        },
        "langchain-ai/langchain#16219",
        ("stream",),
    ),
    Move(
        ours.SagemakerEndpoint,
        {
            "endpoint_name": "jumpstart-llama",
            **_WEST,
            "model_kwargs": _PARAMETERS,
            "content_handler": Dialogue(),
            "endpoint_kwargs": {"CustomAttributes": "accept_eula=true"},
        },
        "in more than ten public repositories",
        WHOLE,
    ),
    Move(
        ours.ChatSagemakerEndpoint,
        {
            "endpoint_name": "emulated",
            **_WEST,
            "content_handler": Chat(),
            "model_kwargs": {},
            "endpoint_kwargs": {},
        },
        "aws, unit and integration tests of chat_models",
        ("stream",),
    ),
    Move(
        ours.SagemakerEndpointEmbeddings,
        {"endpoint_name": "tei", "region_name": "us-east-1", "content_handler": Vectors()},
        "docs text_embedding/sagemaker-endpoint",
        WHOLE,
    ),
    Move(
        ours.SagemakerEndpointEmbeddings,
        {
            "endpoint_name": "tei",
            **_WEST,
            "content_handler": Vectors(),
            "endpoint_kwargs": {"CustomAttributes": "accept_eula=true"},
            "credentials_profile_name": "default",
        },
        "in public repositories",
        WHOLE,
    ),
)

MOVES: dict[str, Move] = {
    f"{move.model.__name__} {number}": move
    for number, move in enumerate((*_DEPLOYMENTS, *_CHATS, *_GENERATIVE_AI, *_SAGEMAKER), 1)
}
