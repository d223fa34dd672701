"""HTML from data: everything that comes from a file is escaped here, and nothing else makes markup."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from mpec.storage import ResultError
from mpec.wording import money, percent

_TYPES = {
    ".csv": "text/csv;charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown;charset=utf-8",
    ".tex": "application/x-tex",
    ".toml": "application/toml",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
}


class Markup(str):
    """Text that is markup already; every other string is escaped by :func:`html`."""

    __slots__ = ()


def html(value: object) -> Markup:
    """``value`` as markup: escaped unless it is markup already."""
    return value if isinstance(value, Markup) else Markup(escape(str(value), quote=True))


def element(tag: str, *content: object, **attributes: str | None) -> Markup:
    """``<tag a="…">content</tag>``; ``class_`` and ``data_x`` become class and data-x; None is left out."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value, quote=True)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{written}>{''.join(map(html, content))}</{tag}>")


def table(header: Sequence[object], rows: Iterable[Sequence[object]], *, caption: str = "") -> Markup:
    """A table in a box that scrolls sideways by itself; cells that look like numbers are set to the right."""
    rows = list(rows)
    numeric = [bool(rows) and all(_is_number(row[n]) for row in rows) for n in range(len(header))]
    head = element(
        "tr",
        *(
            element("th", cell, scope="col", class_="number" if right else None)
            for cell, right in zip(header, numeric, strict=True)
        ),
    )
    body = [element("tr", *map(_cell, row)) for row in rows]
    title = [element("caption", caption)] if caption else []
    whole = element("table", *title, element("thead", head), element("tbody", *body))
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption or "table")


def _cell(value: object) -> Markup:
    return element("td", value, class_="number" if _is_number(value) else None)


def _is_number(value: object) -> bool:
    return not isinstance(value, Markup) and bool(_NUMERIC.match(str(value)))


def amount(value: float | None, digits: int = 2) -> str:
    """Money and other amounts: as printed elsewhere, but in one piece, with a true minus."""
    return money(value, digits).replace(" ", "\u202f").replace("-", "\u2212")


def share(value: float | None) -> str:
    """'0.95 %' in one piece."""
    return percent(value).replace(" ", "\u202f")


_NUMERIC = re.compile(r"^[-+−]?\d[\d\s]*(\.\d+)?([eE][-+]?\d+)?(\s?(%|s|h))?$")


def data_address(content: bytes, suffix: str) -> str:
    """``content`` as an address that needs no server."""
    kind = _TYPES.get(suffix, "application/octet-stream")
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def download(path: Path, name: str) -> Markup:
    """A link that saves the file, byte for byte. Raises ResultError where it can't be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        cure = "Check the permissions of the file."
        raise ResultError(path, f"can't be read ({error.strerror})", cure) from error
    return download_bytes(content, name)


def download_bytes(content: bytes, name: str) -> Markup:
    """A link that saves ``content`` under the last part of ``name``, with its size."""
    plain = Path(name)
    link = element("a", name, href=data_address(content, plain.suffix), download=plain.name)
    return element("li", link, " ", element("span", size_text(len(content)), class_="dim"))


def size_text(count: int) -> str:
    """'412 bytes', '12 kB', '1.2 MB'."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"


def picture(path: Path, caption: str, *, told: bool = True) -> Markup:
    """An SVG file as an image: whatever is in it can't run or load anything there.

    told  the caption is written below it; else it is only the image's description
    """
    address = data_address(path.read_bytes(), ".svg")
    # `img` has no end tag.
    image = Markup(f'<img src="{escape(address, quote=True)}" alt="{escape(caption, quote=True)}">')
    return element("figure", image, element("figcaption", caption) if told else "")
