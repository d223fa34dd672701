"""The Markdown that studies write (headings, pipe tables, lists, paragraphs, code) as markup.

Not a general reader: what it doesn't know stays visible as text, but for comments. Links to files of the
folder lead to the page's downloads, others lose their target, since the page must not lead out of itself.
A picture on a line of its own is drawn where ``picture`` knows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from mpec.report.markup import Markup, element, html, table

Picture = Callable[[str, str], Markup | None]
"""(target, caption) -> the picture, or None for one that is not to be shown."""

_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_SPAN = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|!\[([^\]]*)\]\([^)]*\)|\[([^\]]*)\]\(([^)]*)\)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def markdown(text: str, *, level: int = 3, picture: Picture | None = None) -> Markup:
    """``text`` as markup; headings of its first level become ``level``."""
    return Markup("".join(_blocks(_COMMENT.sub("", text).splitlines(), level, picture)))


def _blocks(lines: list[str], level: int, picture: Picture | None) -> Iterator[Markup]:
    n = 0
    while n < len(lines):
        line = lines[n].rstrip()
        if not line:
            n += 1
        elif line.startswith("```"):
            end = next((i for i in range(n + 1, len(lines)) if lines[i].startswith("```")), len(lines))
            yield element("pre", "\n".join(lines[n + 1 : end]))
            n = end + 1
        elif found := re.match(r"(#{1,6}) +(.*)", line):
            yield element(f"h{min(level + len(found[1]) - 1, 6)}", _inline(found[2]))
            n += 1
        elif (found := re.fullmatch(r"!\[([^\]]*)\]\(([^)]*)\)", line)) and picture is not None:
            yield picture(found[2], found[1]) or element("p", f"The picture {found[2]} is not in the folder.")
            n += 1
        elif "|" in line and n + 1 < len(lines) and _RULE.match(lines[n + 1]) and "|" in lines[n + 1]:
            end = _while(lines, n + 2, lambda row: "|" in row)
            header = _cells(line)
            yield table(header, [_cells(row, len(header)) for row in lines[n + 2 : end]])
            n = end
        elif re.match(r"\s*[-*] ", line):
            end = _while(lines, n, lambda row: bool(row.strip()))
            yield element("ul", *(element("li", _inline(item)) for item in _items(lines[n:end])))
            n = end
        else:
            end = _while(
                lines, n + 1, lambda row: bool(row.strip()) and not row.startswith(("#", "```", "|", "!"))
            )
            yield element("p", _inline(" ".join(row.strip() for row in lines[n:end])))
            n = end


def _while(lines: list[str], start: int, holds: Callable[[str], bool]) -> int:
    return next((i for i in range(start, len(lines)) if not holds(lines[i])), len(lines))


def _cells(row: str, count: int | None = None) -> list[object]:
    """The cells of a row, filled or cut to ``count`` if that is given (as Markdown readers do)."""
    inner = re.sub(r"^\s*\|?|\|?\s*$", "", row)
    cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]
    # A plain cell stays text, so that the table can tell numbers.
    marked: list[object] = [_inline(cell) if _SPAN.search(cell) else cell for cell in cells]
    return marked if count is None else (marked + [""] * count)[:count]


def _items(lines: list[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        if found := re.match(r"\s*[-*] +(.*)", line):
            items.append(found[1])
        else:
            items[-1] += " " + line.strip()
    return items


def _inline(text: str) -> Markup:
    out, last = [], 0
    for found in _SPAN.finditer(text):
        out.append(html(text[last : found.start()]))
        code, strong, caption, link, target = found.groups()
        if code is not None:
            out.append(element("code", code))
        elif strong is not None:
            out.append(element("strong", strong))
        elif link is not None and ":" not in target:
            out.append(element("a", link, href="#downloads"))
        else:
            out.append(html(caption if caption is not None else link))
        last = found.end()
    return Markup("".join([*out, html(text[last:])]))
