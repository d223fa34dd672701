"""Random damage to files: bytes, cells, lines, joins of files. What the fuzz tests feed the readers with."""

from __future__ import annotations

import random
import re

Files = dict[str, bytes]

SPICES = [
    *(b"", b" ", b"0", b"-1", b"1e999", b"nan", b"inf", b"-inf", b"1e-320", b"0x1", b"1_0", b"1.0", b".", b"e"),
    *(b'"', b'""', b"'", b",", b";", b">", b":", b"=", b"[", b"]", b"{", b"#", b"A:1;B:2", b"outside", b"true"),
    *(b"\n", b"\r", b"\r\n", b"\t", b"\x00", b"\xff", b"\xef\xbb\xbf", b"99999999999999999999", b"null", b"{}"),
    *("\u0663".encode(), "\u2028".encode(), b"<", b"~", b"%", b"@", b"-0", b"1e308", b"4294967296", b"[[" * 40),
]  # fmt: skip

_WORD = re.compile(rb"[^\s,;:=<>\[\]{}()\"']+")


def spoil(files: Files, chance: random.Random) -> None:
    """One to three random changes in random files."""
    for _ in range(chance.choice([1, 1, 2, 3])):
        file = chance.choice(sorted(files))
        files[file] = _spoiled(files[file], chance, files)


def _spoiled(data: bytes, chance: random.Random, files: Files) -> bytes:
    kind = chance.randrange(9)
    at = chance.randrange(len(data) + 1)
    spice = chance.choice(SPICES)
    if kind == 0:
        return data[:at] + spice + data[at:]
    if kind == 1:
        return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
    if kind == 2:
        return data[:at] + data[at + chance.randint(1, 40) :]
    if kind == 3:
        lines = data.split(b"\n")
        chance.shuffle(lines)
        return b"\n".join(lines)
    if kind == 4:
        lines = data.split(b"\n")
        row = chance.randrange(len(lines))
        cells = lines[row].split(b",")
        cells[chance.randrange(len(cells))] = spice
        lines[row] = b",".join(cells)
        return b"\n".join(lines)
    if kind == 5:
        return data + data[at:]
    if kind == 6:
        # a word for another one, of this file or of another
        words = list(_WORD.finditer(data))
        other = _WORD.findall(files[chance.choice(sorted(files))])
        if not words:
            return spice
        old = chance.choice(words)
        new = chance.choice([spice, chance.choice(other)]) if other else spice
        return data[: old.start()] + new + data[old.end() :]
    if kind == 7:
        lines = data.split(b"\n")
        row = chance.randrange(len(lines))
        again = [lines[row]] * chance.choice([0, 2, 3])
        return b"\n".join([*lines[:row], *again, *lines[row + 1 :]])
    lines = data.split(b"\n")
    return b"\n".join(lines[: chance.randrange(len(lines)) + 1])
