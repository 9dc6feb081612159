"""Names of other packages that have another name here, or none, with the reason.

A name that is here under the same name needs no entry, and an entry for one is ignored.
"""

#: Classes, functions and values: name to what it is here.
OTHER_NAMES: dict[str, str] = {
    "OCIAuthType": "`auth_type=` is a string, checked by editors and the constructor",
    "OCIModelDeploymentEndpointEmbeddings": "`OCIModelDeploymentEmbeddings`",
    "OCIGenAIBase": "`ChatOCIGenAI`, `OCIGenAI`: their common fields have no class of their own",
    "BaseOCIModelDeployment": "`ChatOCIModelDeployment`, `OCIModelDeploymentLLM`: their common fields have no class of "
    "their own",
    "ServerError": "`mdstream_core.errors.ServerError`",
    "TokenExpiredError": "`mdstream_core.errors.AuthenticationError`",
    "create_oci_agent": "`langchain.agents.create_agent` with a chat model",
    "enforce_stop_tokens": "`stop=`: the end of the text is found wherever the stream is split",
}

#: Classes, functions and values that do not exist here: name to the reason.
MISSING: dict[str, str] = {
    **dict.fromkeys(
        ("ADB", "OpenSearch", "VectorDataStore", "create_datastore_tools"),
        "vector stores are other packages' work: `langchain-oracledb`, LangChain's OpenSearch package",
    ),
    **dict.fromkeys(
        ("LineIterator", "ChatLineIterator"),
        "a part of the class that reads streams; the bytes are decoded by `mdstream_core`",
    ),
    **dict.fromkeys(
        ("CohereProvider", "MetaProvider", "Provider"),
        "the formats of the service's API are dialects: `family=`, `api_format=` and `dialect=` choose one",
    ),
    "create_deepagents_agent": "creates its own chat model; `deepagents.create_deep_agent(model=…)` takes one of ours",
}

#: Constructor arguments that a class accepts and translates, so that they are no fields: `Class.argument`.
TRANSLATED_ARGUMENTS: dict[str, str] = {
    "OCIModelDeploymentEmbeddings.endpoint_kwargs": "`headers`, `timeout` and `verify` of it",
    "SageMakerLLM.endpoint_kwargs": "",
    "SageMakerEmbedding.endpoint_kwargs": "",
}

#: Members of classes with another name, or none: `Class.member`, or `*.member` for every class.
MEMBERS: dict[str, str] = {
    "*.completion_with_retry": "other name: `invoke`; it sends the HTTP request, which the class does itself",
    "*.acompletion_with_retry": "other name: `ainvoke`; it sends the HTTP request, which the class does itself",
    "*.service_models": "missing: the SDK's module of request classes, which is not needed",
    **dict.fromkeys(
        ("OCIGuardrailsViolationError.location", "OCIGuardrailsViolationError.violations"),
        "other name: an attribute; mdstream raises the error, and builds it from a message",
    ),
    "OCIDataScience.client": "other name: `http_client`, an `httpx.Client`",
    "OCIDataScience.async_client": "other name: `http_async_client`, an `httpx.AsyncClient`",
    "OCIDataScienceEmbedding.client": "other name: `http_client`, an `httpx.Client`",
    "OCIDataScienceEmbedding.async_client": "other name: `http_async_client`, an `httpx.AsyncClient`",
    "SageMakerEmbedding.pydantic_program_mode": "missing: it has no effect on embeddings",
    "SageMakerEmbedding.verbose": "missing: use `MDSTREAM_LOG=info`",
}

#: Constructor arguments of other packages that have no effect there, and are errors here: `Class.argument`.
REJECTED_ARGUMENTS: dict[str, str] = {
    "OCIGenAI.max_sequential_tool_calls": "missing: it has no effect on completions, which call no tools",
    "OCIGenAI.tool_result_guidance": "missing: it has no effect on completions, which call no tools",
}
