"""`applyGuardrails` of OCI Generative AI: rules in place of the models that check texts.

Sources: the models of the `oci` SDK 2.189 (fields); Oracle's pages on guardrails and its release notes of 2026 (the two
categories, binary scores, versions, labels, images); langchain-oci (lists of categories and types may be left out). No
limit of a text's length is documented; this one is the emulator's own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mdstream_core.emulator.services.oci_genai.requests import Json, RequestRejected, malformed_request

_MAX_CHARACTERS = 100_000
_MAX_IMAGES = 5
_CATEGORIES = ("OVERALL", "BLOCKLIST")
#: Versions of the guardrails; the first is used by default, and only the last checks images.
_VERSIONS = ("1.0.1", "1.0.0", "1.1.0")
_CONFIGS = ("contentModerationConfig", "personallyIdentifiableInformationConfig", "promptInjectionConfig")
_LANGUAGES = frozenset(
    "ar bg bn ca cs da de el en es et fa fi fr gu he hi hr hu id is it ja ko lt lv ms mr nb nl no pl pt ro ru sk sl sr "
    "sv sw ta te th tr uk ur vi zh".split()
)
_LANGUAGE_TAG = re.compile(r"([a-z]{2})(-[A-Z][a-z]{3})?(-[A-Z]{2})?")
_PII: Mapping[str, str] = {
    "EMAIL": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "TELEPHONE_NUMBER": r"\+?\d[\d ()-]{7,}\d",
    "PERSON": r"\b(?:Jane Smith|John Doe)\b",
}


@dataclass(frozen=True, slots=True)
class GuardrailRules:
    """What the emulated guardrails find: regular expressions, which ignore case.

    Example:
        >>> GuardrailRules(unsafe=("dragon",)).unsafe
        ('dragon',)
    """

    unsafe: Sequence[str] = (r"\bkill (?:him|her|them|you)\b", r"\bhateful\b")
    """What the category `OVERALL` of content moderation finds."""
    blocklist: Sequence[str] = (r"\bblockedword\b",)
    """What the category `BLOCKLIST` finds."""
    injections: Sequence[str] = (
        r"\b(?:ignore|disregard) (?:all |any )?(?:previous|prior|above) instructions\b",
        r"\breveal (?:your|the) system prompt\b",
    )
    """What is a prompt injection."""
    pii: Mapping[str, str] = field(default_factory=lambda: dict(_PII))
    """What is personally identifiable information, by its label."""


def build_guardrails(body: Json, rules: GuardrailRules) -> Json:
    """Build the response to `applyGuardrails`.

    Raises:
        RequestRejected: The request is invalid.
    """
    version = _check_version(body)
    configs = body.get("guardrailConfigs")
    if not isinstance(configs, dict):
        raise malformed_request("guardrailConfigs may not be null")
    requested = {name: configs[name] for name in _CONFIGS if configs.get(name) is not None}
    if not requested or not all(isinstance(config, dict) for config in requested.values()):
        raise malformed_request("At least one guardrail configuration must be provided")
    text, images = _check_input(body, version)
    results: Json = {}
    if (moderation := requested.get("contentModerationConfig")) is not None:
        categories = _check_names("categories", moderation.get("categories"), _CATEGORIES)
        found = {"OVERALL": rules.unsafe, "BLOCKLIST": rules.blocklist}
        results["contentModeration"] = {"categories": [_score(name, found[name], text, images) for name in categories]}
    if (pii := requested.get("personallyIdentifiableInformationConfig")) is not None:
        types = _check_names("types", pii.get("types"), tuple(rules.pii))
        results["personallyIdentifiableInformation"] = _find_pii(text, {name: rules.pii[name] for name in types})
    if "promptInjectionConfig" in requested:
        score = _score("", rules.injections, text, images)
        results["promptInjection"] = {name: value for name, value in score.items() if name != "name"}
    return {"results": results, "guardrailVersion": {"version": version}}


def _check_version(body: Json) -> str:
    version = (body.get("guardrailVersionConfig") or {}).get("guardrailVersion", _VERSIONS[0])
    if version not in _VERSIONS:
        raise RequestRejected(404, "NotAuthorizedOrNotFound", f"Guardrail version {version} not found")
    return str(version)


def _check_input(body: Json, version: str) -> tuple[str, list[str]]:
    """Return the text and the images to check. `input` wins over `multimodalInput`."""
    if body.get("input") is not None:
        items, is_multimodal = [body["input"]], False
    else:
        items, is_multimodal = body.get("multimodalInput") or [], True
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise malformed_request("input or multimodalInput must be provided")
    texts = [_check_text(item) for item in items if item.get("type") == "TEXT"]
    images = [str(item["imageUrl"]["url"]) for item in items if item.get("type") == "IMAGE"]
    if len(texts) + len(images) < len(items) or (images and not is_multimodal):
        raise malformed_request("type must be TEXT, or IMAGE in multimodalInput")
    if images and version != _VERSIONS[-1]:
        raise malformed_request(f"Image input requires guardrail version {_VERSIONS[-1]}")
    if len(images) > _MAX_IMAGES or (images and len(texts) > 1):
        raise malformed_request(f"multimodalInput may have {_MAX_IMAGES} images and one text with them")
    return "\n".join(texts), images


def _check_text(item: Json) -> str:
    content, language = item.get("content"), item.get("languageCode")
    if not isinstance(content, str) or not content.strip():
        raise malformed_request("content may not be empty")
    if len(content) > _MAX_CHARACTERS:
        raise malformed_request(f"content exceeds the limit of {_MAX_CHARACTERS} characters: it has {len(content)}")
    if language is not None:
        tag = _LANGUAGE_TAG.fullmatch(str(language))
        if tag is None or tag[1] not in _LANGUAGES:
            raise malformed_request(f"languageCode {language} is not supported")
    return content


def _check_names(field_name: str, names: Any, known: Sequence[str]) -> list[str]:
    """Return the requested categories or types; all if none are named."""
    if names is None:
        return list(known)
    if not isinstance(names, list) or not names or (unknown := [name for name in names if name not in known]):
        problem = f"{', '.join(map(str, unknown))} unknown" if isinstance(names, list) and names else "empty"
        raise malformed_request(f"{field_name} {problem}, must be of {', '.join(known)}")
    return list(dict.fromkeys(names))


def _score(name: str, patterns: Sequence[str], text: str, images: list[str]) -> Json:
    """Score the text, and the URLs of images: both 0.0 or 1.0."""
    flagged = [
        modality
        for modality, values in (("TEXT", [text]), ("IMAGE", images))
        if any(re.search(pattern, value, re.IGNORECASE) for pattern in patterns for value in values)
    ]
    score: Json = {"name": name, "score": 1.0 if flagged else 0.0}
    return {**score, "flaggedModalities": flagged} if images else score


def _find_pii(text: str, patterns: Mapping[str, str]) -> list[Json]:
    found = [
        {"length": len(match[0]), "offset": match.start(), "text": match[0], "label": label, "score": 0.99}
        for label, pattern in patterns.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]
    return sorted(found, key=lambda entity: (entity["offset"], entity["label"]))
