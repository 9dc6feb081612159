"""The places that give vectors and rankings, for the tests of both frameworks."""

from _platforms import Place

EMBEDDING: dict[str, Place] = {
    "OCI model deployment, vLLM": Place("oci-model-deployment"),
    "OCI model deployment, TEI": Place("oci-model-deployment", {"dialect": "tei-embeddings"}),
    "OCI GenAI": Place("oci-genai", {"model": "cohere.embed-english-light-v3.0"}),
    "SageMaker TEI": Place("sagemaker", {"endpoint_name": "tei"}),
    "SageMaker LMI": Place("sagemaker", {"endpoint_name": "lmi-embeddings"}),
    "SageMaker JumpStart": Place("sagemaker", {"endpoint_name": "jumpstart-embeddings"}),
    "SageMaker JumpStart, named": Place(
        "sagemaker", {"endpoint_name": "jumpstart-embeddings", "dialect": "jumpstart-embeddings"}
    ),
    "SageMaker vLLM": Place("sagemaker"),
    "SageMaker vLLM, said": Place("sagemaker", {"dialect": "openai-embeddings"}),
    "ModelArts": Place("modelarts"),
    "MaaS": Place("modelarts-maas"),
}

RANKING: dict[str, Place] = {
    "OCI model deployment": Place("oci-model-deployment"),
    "OCI model deployment, score": Place("oci-model-deployment", {"dialect": "score"}),
    "OCI model deployment, TEI": Place("oci-model-deployment", {"dialect": "tei-rerank"}),
    "OCI GenAI": Place("oci-genai", {"model": "cohere.rerank.v3.5"}),
    "SageMaker TEI": Place("sagemaker", {"endpoint_name": "tei"}),
    "SageMaker vLLM": Place("sagemaker"),
    "ModelArts": Place("modelarts"),
    "MaaS": Place("modelarts-maas"),
}
