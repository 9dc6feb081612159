"""The places that give vectors and rankings, for the tests of both frameworks."""

from _platforms import PlatformCase

EMBEDDING: dict[str, PlatformCase] = {
    "OCI model deployment, vLLM": PlatformCase("oci-model-deployment"),
    "OCI model deployment, TEI": PlatformCase("oci-model-deployment", {"dialect": "tei-embeddings"}),
    "OCI GenAI": PlatformCase("oci-genai", {"model": "cohere.embed-english-light-v3.0"}),
    "SageMaker TEI": PlatformCase("sagemaker", {"endpoint_name": "tei"}),
    "SageMaker LMI": PlatformCase("sagemaker", {"endpoint_name": "lmi-embeddings"}),
    "SageMaker JumpStart": PlatformCase("sagemaker", {"endpoint_name": "jumpstart-embeddings"}),
    "SageMaker JumpStart, named": PlatformCase(
        "sagemaker", {"endpoint_name": "jumpstart-embeddings", "dialect": "jumpstart-embeddings"}
    ),
    "SageMaker vLLM": PlatformCase("sagemaker"),
    "SageMaker vLLM, said": PlatformCase("sagemaker", {"dialect": "openai-embeddings"}),
    "ModelArts": PlatformCase("modelarts"),
    "MaaS": PlatformCase("modelarts-maas"),
}

RANKING: dict[str, PlatformCase] = {
    "OCI model deployment": PlatformCase("oci-model-deployment"),
    "OCI model deployment, score": PlatformCase("oci-model-deployment", {"dialect": "score"}),
    "OCI model deployment, TEI": PlatformCase("oci-model-deployment", {"dialect": "tei-rerank"}),
    "OCI GenAI": PlatformCase("oci-genai", {"model": "cohere.rerank.v3.5"}),
    "SageMaker TEI": PlatformCase("sagemaker", {"endpoint_name": "tei"}),
    "SageMaker vLLM": PlatformCase("sagemaker"),
    "ModelArts": PlatformCase("modelarts"),
    "MaaS": PlatformCase("modelarts-maas"),
}
