"""Completion models of OCI Generative AI."""

from langchain_mdstream._oci_genai import OCIGenerativeAIMixin
from langchain_mdstream.llms._base import CompletionModel


class OCIGenAI(OCIGenerativeAIMixin, CompletionModel):
    """Completion model of OCI Generative AI.

    It uses the older operation `generateText`; `ChatOCIGenAI` uses the current one.

    Setup:
        ```bash
        pip install -U "mdstream-llm[langchain,oci-lite]"
        oci setup config  # or auth_type=
        ```

    Instantiate:
        >>> llm = OCIGenAI(
        ...     model="cohere.command", region="us-chicago-1", compartment_id="ocid1.compartment.oc1..aaaa"
        ... )

    Invoke:
        ```python
        llm.invoke("The capital of France is")
        ```

    Stream:
        ```python
        for text in llm.stream("The capital of France is"):
            print(text, end="", flush=True)
        ```

    Streaming errors:
        A stream that failed or was interrupted raises, with the output so far in `error.partial`; see `ChatOCIGenAI`.
    """

    __module__ = "langchain_mdstream.llms"  # where it is imported from, pickled and serialized
