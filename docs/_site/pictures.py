"""A hook of MkDocs: pictures are written into the page, so that they take the colours of the page, light or dark."""

import re
from pathlib import Path
from typing import Any

_PICTURE = re.compile(r"^!\[(?P<words>[^\]]*)\]\((?P<path>[\w./-]+\.svg)\)$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Put each SVG that stands on a line of its own in place of its link."""
    folder = Path(config["docs_dir"], page.file.src_uri).parent

    def drawn(found: re.Match[str]) -> str:
        picture = (folder / found["path"]).read_text(encoding="utf-8").strip()
        return f'<div class="picture" role="img" aria-label="{found["words"]}">{picture}</div>'

    return _PICTURE.sub(drawn, markdown)
