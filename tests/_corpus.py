"""A small real corpus and queries about it, for the retrieval tests of both frameworks."""

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus" / "amendments.txt"

#: A question, and the amendment that answers it.
QUERIES = {
    "May soldiers be quartered in a house in time of peace?": "Amendment III.",
    "Are cruel and unusual punishments allowed?": "Amendment VIII.",
    "At what years of age may citizens vote, eighteen or older?": "Amendment XXVI.",
    "Can a person be a witness against himself in a criminal case?": "Amendment V.",
    "Who may collect taxes on incomes?": "Amendment XVI.",
}


def passages() -> list[str]:
    """Return the paragraphs of the corpus."""
    return [paragraph for paragraph in CORPUS.read_text("utf-8").split("\n\n") if paragraph.strip()]
