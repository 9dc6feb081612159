"""Embeddings, reranking and scores, in the formats of vLLM, TEI and LMI."""

import base64
import struct
from typing import Any

from mdstream_core.emulator._bounds import (
    MAX_DOCUMENTS,
    MAX_EMBEDDING_CHARACTERS,
    MAX_EMBEDDING_FLOATS,
    MAX_MESSAGES,
)
from mdstream_core.emulator._response_plan import ResponsePlan, json_plan
from mdstream_core.emulator.model import decode_image, embed, read_image_text, relevances, split_tokens
from mdstream_core.emulator.model_server._errors import (
    ModelServerError,
    ServerLimits,
    prompt_too_long_error,
    too_many_texts_error,
)
from mdstream_core.emulator.model_server._flavours import Json
from mdstream_core.emulator.model_server._prompts import iter_parts, iter_texts

CREATED = 1_795_188_570

#: TEI's default `--max-client-batch-size`.
TEI_MAX_BATCH_SIZE = 32


def _inputs(value: Any) -> list[str]:
    """Parse the input: one text or many, or token ids."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise ModelServerError(400, "input: Input should be a valid string or list", param="input")
    if all(isinstance(item, int) for item in value):
        return [" ".join(map(str, value))]
    if not all(isinstance(item, str | list) for item in value):
        raise ModelServerError(400, "input: Input should be a valid string or list", param="input")
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in value]


def _message_text(messages: list[Json]) -> str:
    """Return what vLLM embeds of a conversation: its texts, and what the model sees in its images."""
    texts = []
    for part in iter_parts({"messages": messages}):
        if part.get("type") == "image_url":
            try:
                texts.append(read_image_text(decode_image(str((part.get("image_url") or {}).get("url")))))
            except ValueError as error:
                raise ModelServerError(400, f"Failed to load the image: {error}", param="messages") from error
    return " ".join([*texts, *(text for message in messages for text in iter_texts(message.get("content")))])


def build_embeddings(request: Json, limits: ServerLimits) -> ResponsePlan:
    """Handle `/v1/embeddings`."""
    size = limits.embedding_size
    dimensions = request.get("dimensions") or size
    if not 0 < dimensions <= size:  # `validate_request` has checked that it is an integer
        text = f'Model "{request.get("model")}" only supports {size} matryoshka dimensions, got {dimensions}.'
        raise ModelServerError(400, text, param="dimensions")
    texts = _inputs(request.get("input")) if request.get("messages") is None else [_message_text(request["messages"])]
    _check_batch(texts, limits.max_batch_size)
    _check_context(texts, limits.context)
    check_cost(texts, dimensions)
    vectors = [embed(text, dimensions) for text in texts]
    is_base64 = request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": i, "embedding": _to_base64(v) if is_base64 else v}
        for i, v in enumerate(vectors)
    ]
    count = sum(len(split_tokens(text)) for text in texts)
    usage = {"prompt_tokens": count, "total_tokens": count, "completion_tokens": 0, "prompt_tokens_details": None}
    model = request.get("model") or "odsc-llm"
    return json_plan(
        200, {"id": "embd-1", "object": "list", "created": CREATED, "model": model, "data": data, "usage": usage}
    )


def _check_batch(texts: list[Any], limit: int | None) -> None:
    if limit is not None and len(texts) > limit:
        raise too_many_texts_error(len(texts), limit)


def _check_context(texts: list[str], limit: int | None) -> None:
    """Reject a text that is longer than the context window, with vLLM's error."""
    longest = max(len(split_tokens(text)) for text in texts) if limit is not None else 0
    if limit is not None and longest > limit:
        raise prompt_too_long_error(longest, limit)


def check_cost(texts: list[str], size: int, max_texts: int = MAX_MESSAGES) -> None:
    """Reject more texts, characters or numbers than one response may have."""
    if len(texts) > max_texts:
        text = (
            f"Invalid 'input': array too long. Expected an array with maximum length {max_texts}, but got an array "
            f"with length {len(texts)} instead."
        )
        raise ModelServerError(400, text, param="input")
    characters = sum(map(len, texts))
    if characters > MAX_EMBEDDING_CHARACTERS:
        text = f"Invalid 'input': maximum request size is {MAX_EMBEDDING_CHARACTERS} characters, got {characters}."
        raise ModelServerError(400, text, param="input")
    if len(texts) * size > MAX_EMBEDDING_FLOATS:
        text = f"Invalid 'input': {len(texts)} vectors of {size} are more than {MAX_EMBEDDING_FLOATS} numbers."
        raise ModelServerError(400, text, param="input")


def handle_tei(request: Json, limits: ServerLimits) -> ResponsePlan:
    """Handle SageMaker's only route as TEI does: `/rerank` if there is a query, else `/embed`."""
    texts = request.get("texts") if "query" in request else request.get("inputs")
    if not texts:
        return json_plan(400, {"error": "`inputs` cannot be empty", "error_type": "empty"})
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return json_plan(422, {"error": "`inputs` must be a text or a list of texts", "error_type": "validation"})
    limit = limits.max_batch_size or TEI_MAX_BATCH_SIZE
    if len(texts) > limit:
        return json_plan(422, {"error": str(too_many_texts_error(len(texts), limit)), "error_type": "validation"})
    longest = max(len(split_tokens(text)) for text in texts)
    if limits.context is not None and longest > limits.context:
        error = f"`inputs` must have less than {limits.context} tokens. Given: {longest}"
        return json_plan(413, {"error": error, "error_type": "Validation"})
    return build_rerank(request, limits) if "query" in request else build_vectors(texts, limits.embedding_size)


def build_vectors(texts: list[str], size: int) -> ResponsePlan:
    """Build a response of vectors alone."""
    check_cost(texts, size)
    return json_plan(200, [embed(text, size) for text in texts])


def build_token_vectors(texts: list[str], size: int) -> list[list[list[list[float]]]]:
    """Build a vector for each token of each text, as transformers' pipeline does: (texts, 1, tokens, size)."""
    token_lists = [split_tokens(text) for text in texts]
    check_cost([token for text in token_lists for token in text], size, MAX_EMBEDDING_FLOATS)
    return [[[embed(token, size) for token in text]] for text in token_lists]


def _to_base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _rank(query: str, documents: list[str]) -> list[tuple[int, float]]:
    check_cost([query, *documents], 0, MAX_DOCUMENTS + 1)
    return sorted(enumerate(relevances(query, documents)), key=lambda pair: -pair[1])


def build_rerank(request: Json, limits: ServerLimits) -> ResponsePlan:
    """Handle `/rerank`: the format of Cohere and Jina that vLLM uses, or TEI's for requests with `texts`."""
    _check_batch(request.get("texts") or request.get("documents") or [], limits.max_batch_size)
    if "texts" in request:
        pairs = _rank(str(request.get("query", "")), request["texts"] or [])
        texts = bool(request.get("return_text"))
        return json_plan(
            200, [{"index": i, "score": s} | ({"text": request["texts"][i]} if texts else {}) for i, s in pairs]
        )
    documents = [
        item if isinstance(item, str) else str(item.get("text", item)) for item in request.get("documents") or ()
    ]
    pairs = _rank(str(request.get("query", "")), documents)[: request.get("top_n") or None]
    results = [{"index": i, "document": {"text": documents[i]}, "relevance_score": score} for i, score in pairs]
    count = sum(len(split_tokens(text)) for text in documents)
    usage = {"prompt_tokens": count, "total_tokens": count}
    model = request.get("model") or "odsc-llm"
    return json_plan(200, {"id": "rerank-1", "model": model, "usage": usage, "results": results})


def build_score(request: Json) -> ResponsePlan:
    """Handle `/score`: scores of pairs of texts."""
    left = _inputs(request.get("text_1") or request.get("queries"))
    right = _inputs(request.get("text_2") or request.get("documents"))
    check_cost([*left, *right], 0, 2 * MAX_DOCUMENTS)
    if len(left) == 1:
        scores = relevances(left[0], right)
    else:
        scores = [relevances(first, [second])[0] for first, second in zip(left, right, strict=False)]
    data = [{"index": i, "object": "score", "score": value} for i, value in enumerate(scores)]
    model = request.get("model") or "odsc-llm"
    return json_plan(200, {"id": "score-1", "object": "list", "created": CREATED, "model": model, "data": data})
