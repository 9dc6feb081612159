"""What the model thinks before it answers, when it is asked to think."""

from mdstream_core.emulator.brain._question import Json, Question

_SHORT = 120


def thinks(request: Json) -> bool:
    """Whether the request asks for reasoning."""
    template = request.get("chat_template_kwargs") or {}
    switch = template.get("enable_thinking", template.get("thinking"))
    if switch is not None:
        return bool(switch)
    effort = request.get("reasoning_effort") or (request.get("reasoning") or {}).get("effort")
    if effort is not None:
        return effort not in {"none", "off"}
    return "think" in str(request.get("model", ""))


def thoughts(question: Question, calls: bool) -> str:
    """A chain of thought."""
    about = " ".join(question.text.split())[:_SHORT]
    then = "A tool can find that out, so I call it." if calls else "I know what to say."
    return f"The user says: {about}\n{then}"
