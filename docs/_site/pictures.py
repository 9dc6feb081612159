"""A hook of MkDocs that embeds SVG pictures into the page, so that they use its light or dark colors."""

import re
from pathlib import Path
from typing import Any

_PICTURE = re.compile(r"^!\[(?P<alt_text>[^\]]*)\]\((?P<path>[\w./-]+\.svg)\)$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Replace each link to an SVG that is alone on its line by the SVG itself."""
    folder = Path(config["docs_dir"], page.file.src_uri).parent

    def embed(match: re.Match[str]) -> str:
        picture = (folder / match["path"]).read_text(encoding="utf-8").strip()
        return f'<div class="picture" role="img" aria-label="{match["alt_text"]}">{picture}</div>'

    return _PICTURE.sub(embed, markdown)
