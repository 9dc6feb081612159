"""`batch` and `abatch` of completion models: one call for each input."""

from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables import Runnable, RunnableConfig

Config = RunnableConfig | list[RunnableConfig] | None


class CompletionBatch:
    """Mixin of the completion models, for the base class of LangChain's completion models.

    That class divides the inputs into groups of `max_concurrency`. It sends the requests of a group one after the
    other, and with `return_exceptions` the error of one input replaces the outputs of its whole group.
    """

    def batch(
        self, inputs: list[LanguageModelInput], config: Config = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> list[str]:
        """Generate an output for each input, with up to `max_concurrency` requests at the same time.

        Args:
            inputs: The prompts.
            config: A configuration, or one for each input, such as `{"max_concurrency": 16}`.
            return_exceptions: Whether the result has the exception of an input that failed, in its position. By default
                the first one is raised.
            kwargs: Further parameters of each request.
        """
        return Runnable.batch(self, inputs, config, return_exceptions=return_exceptions, **kwargs)  # type: ignore[arg-type]

    async def abatch(
        self, inputs: list[LanguageModelInput], config: Config = None, *, return_exceptions: bool = False, **kwargs: Any
    ) -> list[str]:
        """Async variant of `batch`."""
        return await Runnable.abatch(self, inputs, config, return_exceptions=return_exceptions, **kwargs)  # type: ignore[arg-type]
