"""The README tells the truth: its commands run, its table is the command line, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from mpec.cli import parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """The `mpec` lines of sh blocks that are not marked long."""
    lines = [line.strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("mpec ") and "# long" not in line]


def test_it_is_short():
    assert len(README.splitlines()) < 150


def test_it_names_the_two_commands():
    assert "make run" in README
    assert "make test" in README


def test_its_commands_run(tmp_path: Path):
    """In the order of the README, in one empty folder; `# exit N` states an exit code other than 0."""
    assert commands()
    for line in commands():
        command, _, remark = line.partition("#")
        stated = re.search(r"exit (\d)", remark)
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(command)], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == int(stated[1] if stated else 0), f"{line}\n{done.stdout}\n{done.stderr}"


def test_its_python_runs(tmp_path: Path):
    for block in blocks("python"):
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_its_table_of_commands_is_the_command_line():
    listed = re.findall(r"^\| `mpec ([\w-]+)", README, re.MULTILINE)
    usage = parser().format_help()
    offered = re.findall(r"^    ([a-z-]+)(?: |$)", usage, re.MULTILINE)
    assert sorted(listed) == sorted(offered)


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
