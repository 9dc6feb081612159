"""A stream, shown while it comes: in a notebook, in a terminal, or as plain text where it is piped.

Text as it comes, tool calls, the time to the first token, tokens a second; and a failure in plain words, with what was
received kept. Whatever streams may be shown: the core's events, LangChain's chunks, LlamaIndex's responses.

    answer = show(chat.stream("Name three rivers."))
    answer = show(llm.stream_chat(messages))
    answer = await ashow(llm.astream_chat(messages))

In a terminal it is nicer with rich (`pip install 'mdstream-llm[display]'`); neither rich nor IPython is needed.
"""

from mdstream_core.display._plain import PlainTextView
from mdstream_core.display._show import View, ashow, create_view, show
from mdstream_core.display._summary import Summary

__all__ = ["PlainTextView", "Summary", "View", "ashow", "create_view", "show"]
