"""The rules for embeddings of images detect faults: each class has one, and fails the rule about it."""

import pytest
from _conformance_runs import failed_rules
from _llamaindex_faulty_images import (
    BlocksImages,
    ChecksLate,
    ChecksNothing,
    DropsRepeats,
    FilesOnly,
    FirstVector,
    MinimalImageEmbedding,
    NeverRetries,
    OtherAsync,
    OtherSpace,
    ReadsBuffers,
    Recodes,
    SendsNothing,
    ShortVectors,
    Silent,
    SkipsFailures,
    SortsImages,
    TupleVectors,
    ZeroVectors,
)
from llama_index.core.base.embeddings.base import BaseEmbedding

from mdstream_core.testing import EmbeddingConformance

pytest_plugins = ["pytester"]

#: A rule that only the class about it fails.
OTHER = "test_image_is_sent_unchanged"


#: The rule that each class fails.
FAULTS: dict[type[MinimalImageEmbedding], set[str]] = {
    MinimalImageEmbedding: set(),
    TupleVectors: {"test_image_vectors_are_lists_of_floats"},
    ShortVectors: {"test_image_vectors_are_lists_of_floats"},
    OtherAsync: {"test_async_image_vectors_are_equal"},
    SortsImages: {"test_images_keep_their_order"},
    DropsRepeats: {"test_equal_images_have_a_vector_each"},
    FilesOnly: {"test_forms_of_an_image_are_equal"},
    ReadsBuffers: {"test_buffers_are_read_from_the_start"},
    Recodes: {"test_image_is_sent_unchanged"},
    OtherSpace: {"test_images_and_texts_are_comparable"},
    ChecksNothing: {"test_wrong_images_raise"},
    ChecksLate: {"test_wrong_images_raise"},
    SendsNothing: {"test_no_images_send_no_request"},
    FirstVector: {"test_wrong_number_of_image_vectors_raises"},
    ZeroVectors: {"test_invalid_response_for_an_image_raises"},
    SkipsFailures: {"test_one_failed_image_raises"},
    NeverRetries: {"test_images_are_retried_after_a_temporary_error"},
    Silent: {"test_images_are_reported_once"},
    BlocksImages: {"test_async_image_methods_do_not_block_the_event_loop"},
}


@pytest.mark.parametrize(("kind", "expected"), FAULTS.items(), ids=[kind.__name__ for kind in FAULTS])
def test_faults_of_image_embeddings_are_found(
    pytester: pytest.Pytester, kind: type[MinimalImageEmbedding], expected: set[str]
) -> None:
    """
    The rule about the fault fails, another does not; an embedding without a fault passes all.
    """

    class TestIt(EmbeddingConformance):
        supports_images = True
        credentials = {"api_key": "s3cret"}

        def embedding(self, url: str, max_retries: int) -> BaseEmbedding:
            return kind(url=url, max_retries=max_retries, **self.credentials)

    rules = " or ".join({*expected, OTHER}) if expected else "image or buffers"
    failed = {rule.partition("[")[0].partition(":")[0] for rule in failed_rules(pytester, TestIt, rules)}

    assert expected == failed


def test_every_rule_has_a_fault() -> None:
    """
    Except the one about the index, which finds what the others find.
    """
    rules = {
        name
        for name in dir(EmbeddingConformance)
        if name.startswith("test_") and ("image" in name or "buffers" in name)
    }

    assert {"test_multi_modal_index_finds_the_right_image"} == rules - set().union(*FAULTS.values())
