"""`Guardrails`: a service that checks texts, and the policy for what it finds."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from mdstream_core.call import Call
from mdstream_core.client import AsyncClient, Client
from mdstream_core.dialects import GUARDRAILS, OCIApplyGuardrails, read_guardrails
from mdstream_core.errors import GuardrailViolation, MDStreamError, extend_error
from mdstream_core.events import GuardrailResults, ModelResponse, merge_results
from mdstream_core.guardrails.checks import GuardrailChecks
from mdstream_core.guardrails.client import AsyncGuardedClient, GuardedClient
from mdstream_core.guardrails.policy import SEPARATOR, GuardrailPolicy, TextLocation, log_violation
from mdstream_core.guardrails.redaction import locate_entities
from mdstream_core.service import Service

#: Characters that two pieces of a long text have in common, so that a phrase that the first one cuts is checked whole.
_PIECE_OVERLAP = 200

_POLICY, _CHECKS = GuardrailPolicy(), GuardrailChecks()


class Guardrails:
    """Guardrails of a service, and the policy for what they find.

    Args:
        service: The service that checks the texts, OCI Generative AI with a compartment; or a function that returns it.
        policy: Which results are violations, and how outputs are checked.
        checks: Which checks are requested. Default: all.
        max_text_chars: Number of characters of the longest text of a request. A longer text is checked in several
            requests, in pieces that overlap by 200 characters. The service documents no limit.

    Raises:
        ValueError: `max_text_chars` is too small.

    Example:
        >>> from mdstream_core import OCIGenerativeAI, Service
        >>> service = Service(OCIGenerativeAI("ocid1.compartment.oc1..aaaa", region="us-chicago-1"))
        >>> guardrails = Guardrails(service, GuardrailPolicy(pii="redact"))
    """

    def __init__(
        self,
        service: Service | Callable[[], Service],
        policy: GuardrailPolicy = _POLICY,
        *,
        checks: GuardrailChecks = _CHECKS,
        max_text_chars: int = 10_000,
    ) -> None:
        if max_text_chars <= _PIECE_OVERLAP:
            raise ValueError(
                f"max_text_chars={max_text_chars} is too small (hint: use more than {_PIECE_OVERLAP} characters)"
            )
        self._get_service = service if callable(service) else lambda: service
        #: Which results are violations, and how outputs are checked.
        self.policy = policy
        self._params = checks.to_params()
        self._max_text_chars = max_text_chars

    def apply(self, text: str) -> GuardrailResults:
        """Return what the guardrails find in a text, whatever the policy.

        Raises:
            MDStreamError: A request failed after its retries.
        """
        client = self._get_service().client
        return self._merge(text, [client.complete(self._call(text, start)) for start in self._starts(text)])

    async def aapply(self, text: str) -> GuardrailResults:
        """Async variant of `apply`."""
        client = self._get_service().async_client
        return self._merge(text, [await client.complete(self._call(text, start)) for start in self._starts(text)])

    def check(self, texts: Sequence[str], location: TextLocation = "input") -> list[str]:
        """Check texts together, and return them, redacted where the policy says so.

        Args:
            texts: The texts. Nothing is sent if all are empty.
            location: Where they come from, for the error.

        Raises:
            GuardrailViolation: The policy does not allow the texts.
            MDStreamError: A request failed after its retries; the texts were not checked.
        """
        joined = SEPARATOR.join(texts)
        if not joined.strip():
            return list(texts)
        with self.observe_check(location):
            return self.policy.enforce(texts, self.apply(joined), location)

    async def acheck(self, texts: Sequence[str], location: TextLocation = "input") -> list[str]:
        """Async variant of `check`."""
        joined = SEPARATOR.join(texts)
        if not joined.strip():
            return list(texts)
        with self.observe_check(location):
            return self.policy.enforce(texts, await self.aapply(joined), location)

    def protect(self, service: Service) -> None:
        """Check the inputs and outputs of all later calls of a model's service.

        Args:
            service: The service of the model. Its clients are replaced by ones that check.
        """
        service.client = cast(Client, GuardedClient(service.client, self))
        service.async_client = cast(AsyncClient, AsyncGuardedClient(service.async_client, self))

    @contextmanager
    def observe_check(self, location: TextLocation) -> Iterator[None]:
        """Log violations, and add to other errors what could not be checked."""
        try:
            yield
        except GuardrailViolation as error:
            log_violation(error)
            raise
        except MDStreamError as error:
            extend_error(error, fact=f"the {location} could not be checked by guardrails")
            raise

    def _starts(self, text: str) -> range:
        """Indices of the pieces' first characters."""
        step = self._max_text_chars - _PIECE_OVERLAP
        return range(0, max(len(text) - _PIECE_OVERLAP, 1), step)

    def _call(self, text: str, start: int) -> Call:
        piece = text[start : start + self._max_text_chars]
        return self._get_service().call(OCIApplyGuardrails(), {**self._params, "text": piece}, stream=False)

    def _merge(self, text: str, responses: Sequence[ModelResponse]) -> GuardrailResults:
        pieces = zip(self._starts(text), responses, strict=True)
        return merge_results(
            (start, locate_entities(text[start : start + self._max_text_chars], _read(response)))
            for start, response in pieces
        )


def _read(response: ModelResponse) -> GuardrailResults:
    return read_guardrails(response.first.provider_data[GUARDRAILS])
