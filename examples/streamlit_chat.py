"""A Streamlit chat that shows the partial answer and one sentence when a stream fails.

pip install streamlit "mdstream-llm[langchain]"
MDSTREAM_ENDPOINT=https://… streamlit run examples/streamlit_chat.py
"""

import os
from collections.abc import Iterator
from contextlib import closing

import streamlit as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, merge_message_runs

from langchain_mdstream import ChatOCIModelDeployment
from mdstream_core import MDStreamError, read_in_thread


@st.cache_resource
def connect() -> ChatOCIModelDeployment:
    """Create the model object once; all sessions share its connections."""
    return ChatOCIModelDeployment(
        endpoint=os.environ["MDSTREAM_ENDPOINT"], auth_type=os.environ.get("MDSTREAM_AUTH_TYPE", "none")
    )


def check_session() -> None:
    """Let Streamlit end the script if the user has left or stopped it: it does so when a script reads the session."""
    st.session_state.get("messages")


def stream_text(messages: list[BaseMessage], reply: AIMessage) -> Iterator[str]:
    """Yield the answer's text, and add it to the reply.

    Messages without text, of answers that failed before their first word, are left out: services reject them. The
    user's messages around them become one, as many models require that the roles alternate.
    """
    chat, history = connect(), merge_message_runs([message for message in messages if message.text])
    with closing(read_in_thread(lambda: chat.stream(history), check_session)) as chunks:
        for chunk in chunks:
            reply.content += chunk.text
            yield chunk.text


def answer(messages: list[BaseMessage]) -> None:
    """Stream the answer to the page.

    The reply is part of the conversation from the start: with the user's next message, Streamlit may run the script
    again while this run is still ending.
    """
    reply = AIMessage("")
    messages.append(reply)
    try:
        with closing(stream_text(messages, reply)) as texts:
            st.write_stream(texts)
    except MDStreamError as error:
        reply.additional_kwargs["failure"] = f"The answer was interrupted ({error.code or type(error).__name__})."
        st.warning(reply.additional_kwargs["failure"])


def show(message: BaseMessage) -> None:
    """Show a message of the conversation."""
    failure = message.additional_kwargs.get("failure")
    if message.text or failure:
        with st.chat_message("user" if isinstance(message, HumanMessage) else "assistant"):
            if message.text:
                st.write(message.text)
            if failure:
                st.warning(failure)


st.title("Chat")
messages = st.session_state.setdefault("messages", [])
for message in messages:
    show(message)

if prompt := st.chat_input("Message"):
    messages.append(HumanMessage(prompt))
    show(messages[-1])
    with st.chat_message("assistant"):
        answer(messages)
