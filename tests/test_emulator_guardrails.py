"""`applyGuardrails` of the emulator: results, rules of the test, and requests that are rejected."""

from typing import Any

import httpx
import pytest
from _guardrails import emulator, shared_emulator

from mdstream_core.emulator import Emulator, GuardrailRules

__all__ = ["emulator", "shared_emulator"]  # fixtures

ALL: dict[str, Any] = {
    "contentModerationConfig": {},
    "personallyIdentifiableInformationConfig": {},
    "promptInjectionConfig": {},
}
TEXT = {"type": "TEXT", "content": "Hello."}
IMAGE = {"type": "IMAGE", "imageUrl": {"url": "data:image/png;base64,aGF0ZWZ1bA=="}}
V110 = {"guardrailVersionConfig": {"guardrailVersion": "1.1.0"}}


def post(emulator: Emulator, **body: Any) -> httpx.Response:
    whole = {"compartmentId": emulator.oci_genai.compartment_id, "input": TEXT, "guardrailConfigs": ALL, **body}
    url = f"{emulator.oci_genai.endpoint}/20231130/actions/applyGuardrails"
    return httpx.post(url, json={name: value for name, value in whole.items() if value is not None}, trust_env=False)


def test_results_of_a_clean_text(emulator: Emulator) -> None:
    """Both categories and the score of prompt injection are 0.0, and the list of information is empty."""
    response = post(emulator)

    assert 200 == response.status_code
    assert {
        "results": {
            "contentModeration": {
                "categories": [{"name": "OVERALL", "score": 0.0}, {"name": "BLOCKLIST", "score": 0.0}]
            },
            "personallyIdentifiableInformation": [],
            "promptInjection": {"score": 0.0},
        },
        "guardrailVersion": {"version": "1.0.1"},
    } == response.json()


def test_rules_of_a_test() -> None:
    """Regular expressions for each category and each label."""
    rules = GuardrailRules(unsafe=["dragon"], blocklist=["castle"], injections=["obey"], pii={"PLATE": r"[A-Z]{2}-\d+"})
    with Emulator(guardrails=rules) as emulator:
        text = "The DRAGON drives AB-123 and says: obey."
        results = post(emulator, input={"type": "TEXT", "content": text}).json()["results"]

    assert [1.0, 0.0] == [category["score"] for category in results["contentModeration"]["categories"]]
    assert {"score": 1.0} == results["promptInjection"]
    assert [{"label": "PLATE", "offset": 18, "length": 6, "text": "AB-123", "score": 0.99}] == results[
        "personallyIdentifiableInformation"
    ]


def test_images_have_modalities(emulator: Emulator) -> None:
    """Since version 1.1.0, beside one text; `input` wins over `multimodalInput`."""
    flagged = {"type": "TEXT", "content": "a hateful text"}
    response = post(emulator, input=None, multimodalInput=[flagged, IMAGE], **V110).json()
    overall = response["results"]["contentModeration"]["categories"][0]

    assert {"name": "OVERALL", "score": 1.0, "flaggedModalities": ["TEXT"]} == overall
    assert (
        0.0
        == post(emulator, multimodalInput=[flagged]).json()["results"]["contentModeration"]["categories"][0]["score"]
    )


REJECTED: dict[str, tuple[dict[str, Any], int]] = {
    "no compartment": ({"compartmentId": None}, 400),
    "another compartment": ({"compartmentId": "ocid1.compartment.oc1..other"}, 404),
    "no input": ({"input": None}, 400),
    "an empty text": ({"input": {"type": "TEXT", "content": " "}}, 400),
    "no text": ({"input": {"type": "TEXT"}}, 400),
    "a long text": ({"input": {"type": "TEXT", "content": "a" * 100_001}}, 400),
    "an unknown type": ({"input": {"type": "AUDIO"}}, 400),
    "an image as input": ({"input": IMAGE, **V110}, 400),
    "an unknown language": ({"input": {**TEXT, "languageCode": "xx"}}, 400),
    "no language": ({"input": {**TEXT, "languageCode": "English"}}, 400),
    "no checks": ({"guardrailConfigs": {}}, 400),
    "checks that are none": ({"guardrailConfigs": None}, 400),
    "checks of another shape": ({"guardrailConfigs": {"promptInjectionConfig": True}}, 400),
    "an unknown category": ({"guardrailConfigs": {"contentModerationConfig": {"categories": ["SPAM"]}}}, 400),
    "no category": ({"guardrailConfigs": {"contentModerationConfig": {"categories": []}}}, 400),
    "an unknown label": ({"guardrailConfigs": {"personallyIdentifiableInformationConfig": {"types": ["SHOE"]}}}, 400),
    "an unknown version": ({"guardrailVersionConfig": {"guardrailVersion": "9.9.9"}}, 404),
    "an image of an old version": ({"input": None, "multimodalInput": [IMAGE]}, 400),
    "six images": ({"input": None, "multimodalInput": [IMAGE] * 6, **V110}, 400),
    "two texts and an image": ({"input": None, "multimodalInput": [TEXT, TEXT, IMAGE], **V110}, 400),
    "an image without a URL": ({"input": None, "multimodalInput": [{"type": "IMAGE"}], **V110}, 400),
    "input of another shape": ({"input": "Hello."}, 400),
}


@pytest.mark.parametrize(("body", "status"), REJECTED.values(), ids=REJECTED)
def test_invalid_requests_are_rejected(emulator: Emulator, body: dict[str, Any], status: int) -> None:
    """With the service's error envelope."""
    response = post(emulator, **body)

    assert status == response.status_code
    assert {"code", "message"} == set(response.json())


@pytest.mark.parametrize("language", ["en", "es", "en-US", "zh-CN"])
def test_languages_of_the_sdks_example(emulator: Emulator, language: str) -> None:
    """All of them are accepted."""
    assert 200 == post(emulator, input={**TEXT, "languageCode": language}).status_code


def test_credentials_are_verified() -> None:
    """An unsigned request is rejected if signatures are verified."""
    with Emulator(api_keys=["sk-good"]) as emulator:
        assert 401 == post(emulator).status_code
