"""Embeddings and rankings, as vLLM, TEI and LMI answer them."""

import base64
import struct
from typing import Any

from mdstream_core.emulator._plan import Plan, json_plan
from mdstream_core.emulator.brain import embed, relevance, tokens
from mdstream_core.emulator.container._errors import ContainerRefusal, Limits, too_many_texts
from mdstream_core.emulator.container._flavours import Json

CREATED = 1_795_188_570

#: TEI's default `--max-client-batch-size`.
TEI_MOST = 32


def _inputs(given: Any) -> list[str]:
    """Texts, or token ids, one or many."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise ContainerRefusal(400, "input: Input should be a valid string or list", param="input")
    if isinstance(given[0], int):
        return [" ".join(map(str, given))]
    return [one if isinstance(one, str) else " ".join(map(str, one)) for one in given]


def embeddings(request: Json, limits: Limits) -> Plan:
    """`/v1/embeddings`."""
    size = limits.embedding_size
    asked = request.get("dimensions") or size
    if not 0 < asked <= size:
        text = f'Model "{request.get("model")}" only supports {size} matryoshka dimensions, got {asked}.'
        raise ContainerRefusal(400, text, param="dimensions")
    texts = _inputs(request.get("input"))
    _check_batch(texts, limits.max_batch_size)
    vectors = [embed(text, asked) for text in texts]
    packed = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": i, "embedding": _packed(v) if packed else v} for i, v in enumerate(vectors)
    ]
    count = sum(len(tokens(text)) for text in texts)
    usage = {"prompt_tokens": count, "total_tokens": count, "completion_tokens": 0, "prompt_tokens_details": None}
    model = request.get("model") or "odsc-llm"
    return json_plan(
        200, {"id": "embd-1", "object": "list", "created": CREATED, "model": model, "data": data, "usage": usage}
    )


def _check_batch(texts: list[Any], limit: int | None) -> None:
    if limit is not None and len(texts) > limit:
        raise too_many_texts(len(texts), limit)


def tei(request: Json, limits: Limits) -> Plan:
    """TEI as it stands behind SageMaker's one door: `/rerank` where there is a query, else `/embed`."""
    texts = request.get("texts") if "query" in request else request.get("inputs")
    if not texts:
        return json_plan(400, {"error": "`inputs` cannot be empty", "error_type": "empty"})
    texts = [texts] if isinstance(texts, str) else texts
    limit = limits.max_batch_size or TEI_MOST
    if len(texts) > limit:
        return json_plan(422, {"error": str(too_many_texts(len(texts), limit)), "error_type": "validation"})
    return rerank(request, limits) if "query" in request else bare(texts, limits.embedding_size)


def bare(texts: list[str], size: int) -> Plan:
    """Vectors, and nothing around them."""
    return json_plan(200, [embed(str(text), size) for text in texts])


def token_vectors(texts: list[str], size: int) -> list[list[list[list[float]]]]:
    """A vector for each token of each text, as transformers' pipeline writes them: (texts, 1, tokens, size)."""
    return [[[embed(token, size) for token in tokens(text)]] for text in texts]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _ranked(query: str, documents: list[str]) -> list[tuple[int, float]]:
    scores = [(index, relevance(query, document)) for index, document in enumerate(documents)]
    return sorted(scores, key=lambda pair: -pair[1])


def rerank(request: Json, limits: Limits) -> Plan:
    """`/rerank`: Cohere's and Jina's form as vLLM has it, or TEI's where `texts` are given."""
    _check_batch(request.get("texts") or request.get("documents") or [], limits.max_batch_size)
    if "texts" in request:
        pairs = _ranked(str(request.get("query", "")), request["texts"] or [])
        texts = bool(request.get("return_text"))
        return json_plan(
            200, [{"index": i, "score": s} | ({"text": request["texts"][i]} if texts else {}) for i, s in pairs]
        )
    documents = [one if isinstance(one, str) else str(one.get("text", one)) for one in request.get("documents") or ()]
    pairs = _ranked(str(request.get("query", "")), documents)[: request.get("top_n") or None]
    results = [{"index": i, "document": {"text": documents[i]}, "relevance_score": score} for i, score in pairs]
    count = sum(len(tokens(text)) for text in documents)
    usage = {"prompt_tokens": count, "total_tokens": count}
    model = request.get("model") or "odsc-llm"
    return json_plan(200, {"id": "rerank-1", "model": model, "usage": usage, "results": results})


def score(request: Json) -> Plan:
    """`/score`: pairs of texts."""
    left = _inputs(request.get("text_1") or request.get("queries"))
    right = _inputs(request.get("text_2") or request.get("documents"))
    left = left * len(right) if len(left) == 1 else left
    scores = [relevance(one, other) for one, other in zip(left, right, strict=False)]
    data = [{"index": i, "object": "score", "score": value} for i, value in enumerate(scores)]
    model = request.get("model") or "odsc-llm"
    return json_plan(200, {"id": "score-1", "object": "list", "created": CREATED, "model": model, "data": data})
