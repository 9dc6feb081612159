"""A small real corpus, and what is asked of it: for the retrieval tests of both frameworks."""

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus" / "amendments.txt"

#: A request, and the amendment that answers it.
PARAMSS = {
    "May soldiers be quartered in a house in time of peace?": "Amendment III.",
    "Are cruel and unusual punishments allowed?": "Amendment VIII.",
    "At what years of age may citizens vote, eighteen or older?": "Amendment XXVI.",
    "Can a person be a witness against himself in a criminal case?": "Amendment V.",
    "Who may collect taxes on incomes?": "Amendment XVI.",
}


def passages() -> list[str]:
    """The corpus, a paragraph at a time."""
    return [paragraph for paragraph in CORPUS.read_text("utf-8").split("\n\n") if paragraph.strip()]
