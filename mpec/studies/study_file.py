"""FILE.toml -> Study: the question, the blocks of runs, and every run that follows from them.

    question = "How much does the price of electricity matter?"     # one sentence
    analysis = "tariff-and-residual"                                 # whose tables and findings; optional
    reuse = ["../kappa-xi"]                                          # studies whose equal runs are taken over

    [all]                          # what every block has unless it says otherwise
    instance = "ieee33-road16"
    tariff = ["fixed", "dlmp"]     # a list: one run for each, all lists multiplied

    [[runs]]
    name = "heuristic"
    method = "heuristic"
    seeds = 10                     # 0 ... 9
    iterations = 100
    quick = { seeds = 2, iterations = 10 }      # what --quick changes

All problems of a file are told at once, each with file, key, value and cure.
"""

from __future__ import annotations

import difflib
import itertools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import instances
from instances.errors import InstanceError, Problem, problems_text
from instances.model import Instance
from mpec.studies.run_spec import METHODS, RunSpec
from mpec.studies.settings import GAME, SETTINGS, TOP, Setting


class StudyError(ValueError):
    """A study file that can't be used; ``problems`` holds everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(problems_text(self.problems))

    def __reduce__(self) -> tuple[type[StudyError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


@dataclass(frozen=True)
class Study:
    """A study as its file states it; ``runs`` are distinct, those that others start from come first."""

    file: Path
    name: str
    question: str
    analysis: str
    reuse: tuple[Path, ...]
    runs: tuple[RunSpec, ...]
    quick: bool

    def block(self, name: str) -> tuple[RunSpec, ...]:
        """The runs of one [[runs]] table."""
        return tuple(run for run in self.runs if run.block == name)


def read_study(path: Path, *, quick: bool = False) -> Study:
    """Read and check a study file. Raises StudyError with all problems, OSError where it can't be read."""
    raw = path.read_bytes()
    try:
        content = tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        problem = f"is not text (byte {error.start} is not UTF-8)"
        raise StudyError([_whole_file(path, problem, "Save it as UTF-8.")]) from error
    except tomllib.TOMLDecodeError as error:
        cure = "Mend the line; texts stand in quotes, lists in square brackets."
        raise StudyError([_whole_file(path, f"is not TOML: {error}", cure)]) from error
    return _Reader(path, quick).study(content)


def _whole_file(path: Path, message: str, cure: str) -> Problem:
    return Problem(str(path), None, None, None, message, cure)


@dataclass
class _Reader:
    path: Path
    quick: bool
    problems: list[Problem] = field(default_factory=list)
    games: dict[tuple[Any, ...], Instance | None] = field(default_factory=dict)

    def bad(self, key: str, value: Any, message: str, cure: str) -> None:
        text = None if value is None else str(value)
        self.problems.append(Problem(f"{self.path}, key {key}", None, None, text, message, cure))

    # ---- the whole file ----------------------------------------------------------------------
    def study(self, content: Mapping[str, Any]) -> Study:
        top = self._checked(
            {name: v for name, v in content.items() if name not in ("all", "runs")}, TOP, "", ("all", "runs")
        )
        for name in ("question", "analysis"):
            if isinstance(top.get(name), list):
                self.bad(name, top[name], "is a list", "Give one text.")
        if "question" not in content:
            self.bad("question", None, "is missing", "State in one sentence what the study asks.")
        shared = content.get("all", {})
        if not isinstance(shared, dict):
            self.bad("all", shared, "is not a table", "Write [all] on a line of its own, keys below it.")
            shared = {}
        blocks = content.get("runs")
        if not isinstance(blocks, list) or not blocks or not all(isinstance(b, dict) for b in blocks):
            self.bad("runs", None, "is missing or no list of tables", "Give at least one [[runs]] table.")
            blocks = []
        runs = self._runs(shared, blocks)
        if self.problems:
            raise StudyError(self.problems)
        folder = self.path.resolve().parent
        return Study(
            file=self.path,
            name=folder.name if self.path.stem == "study" else self.path.stem,
            question=str(top["question"]),
            analysis=str(top.get("analysis", "")),
            reuse=tuple(folder / other for other in _listed(top.get("reuse", []))),
            runs=tuple(runs),
            quick=self.quick,
        )

    def _runs(self, shared: Mapping[str, Any], blocks: list[dict[str, Any]]) -> list[RunSpec]:
        runs: dict[str, RunSpec] = {}
        names: dict[str, list[RunSpec]] = {}
        for number, block in enumerate(blocks, start=1):
            name = block.get("name", f"runs-{number}")
            place = f"runs[{number}]"
            if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
                self.bad(f"{place}.name", name, "is no name", "Use letters, digits, - and _.")
                continue
            if name in names:
                self.bad(f"{place}.name", name, "is there twice", "Give every [[runs]] table its own name.")
                continue
            names[name] = self._block(shared, block, name, place, names)
            for run in names[name]:
                runs.setdefault(run.identity, run)
        return sorted(runs.values(), key=lambda run: run.base is not None)

    # ---- one block ---------------------------------------------------------------------------
    def _block(
        self,
        shared: Mapping[str, Any],
        block: Mapping[str, Any],
        name: str,
        place: str,
        earlier: Mapping[str, list[RunSpec]],
    ) -> list[RunSpec]:
        method = block.get("method")
        if method not in METHODS:
            self.bad(f"{place}.method", method, "is no method", f"Choose one of {', '.join(METHODS)}.")
            return []
        allowed = {**GAME, **SETTINGS[method]}
        own = {key: v for key, v in block.items() if key not in ("name", "method", "quick")}
        before = len(self.problems)
        values = self._merged(shared, own, block.get("quick", {}), allowed, place)
        if len(self.problems) > before:
            return []
        if "instance" not in values:
            self.bad(f"{place}.instance", None, "is missing", "Name a bundled instance or a folder.")
            return []
        return self._expanded(values, allowed, name, method, place, earlier)

    def _merged(
        self,
        shared: Mapping[str, Any],
        own: Mapping[str, Any],
        quick: Any,
        allowed: Mapping[str, Setting],
        place: str,
    ) -> dict[str, Any]:
        """[all], then the block, then the quick form of both."""
        common = {key: v for key, v in shared.items() if key != "quick"}
        every = {**GAME, **{key: v for one in SETTINGS.values() for key, v in one.items()}}
        values = {k: v for k, v in self._checked(common, every, "all.").items() if k in allowed}
        values |= self._checked(own, allowed, f"{place}.", ("name", "method", "quick"))
        for table, at in ((shared.get("quick", {}), "all.quick."), (quick, f"{place}.quick.")):
            if not isinstance(table, dict):
                self.bad(at.rstrip("."), table, "is not a table", "Write quick = { periods = '8-9' }.")
                continue
            known = every if at.startswith("all") else allowed
            changed = {k: v for k, v in self._checked(table, known, at).items() if k in allowed}
            if self.quick:
                values |= changed
        return values

    def _checked(
        self,
        table: Mapping[str, Any],
        allowed: Mapping[str, Setting],
        place: str,
        others: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """The values that pass their check; lists stay lists of values that pass."""
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in allowed:
                names = [*allowed, *others]
                near = difflib.get_close_matches(key, names, n=1)
                meant = f"Did you mean {near[0]}? " if near else ""
                cure = f"{meant}Keys that can stand here: {', '.join(sorted(names))}."
                self._once(place + key, value, "is no key that is known here", cure)
                continue
            setting = allowed[key]
            if key == "seeds" and isinstance(value, list):
                cure = f"Give {setting.what}, or seed = {value} for these seeds."
                self._once(place + key, value, "is a list, and seeds is a count", cure)
                continue
            found: list[Any] = []
            for one in value if isinstance(value, list) else [value]:
                try:
                    found.append(setting.read(one))
                except (TypeError, ValueError):
                    self._once(place + key, one, f"is not {setting.what}", f"Give {setting.what}.")
            if isinstance(value, list):
                if not value and key != "reuse":
                    self._once(place + key, "[]", "is empty", f"Give {setting.what}, or a list of them.")
                values[key] = found
            elif found:
                values[key] = found[0]
        return values

    def _once(self, key: str, value: Any, message: str, cure: str) -> None:
        """[all] is read for every block: its problems are told once."""
        place = f"{self.path}, key {key}"
        if not any(p.file == place and p.value == str(value) for p in self.problems):
            self.bad(key, value, message, cure)

    # ---- the runs of a block -------------------------------------------------------------------
    def _expanded(
        self,
        values: dict[str, Any],
        allowed: Mapping[str, Setting],
        name: str,
        method: Any,
        place: str,
        earlier: Mapping[str, list[RunSpec]],
    ) -> list[RunSpec]:
        for key, setting in allowed.items():
            if setting.default is not None:
                values.setdefault(key, setting.default)
        if "seeds" in values:
            values["seed"] = list(range(int(values.pop("seeds"))))
        lists = {key: _listed(value) for key, value in values.items()}
        runs = []
        for chosen in itertools.product(*lists.values()):
            one = dict(zip(lists, chosen, strict=True))
            game = self._game(one, place)
            if game is None:
                continue
            settings = {key: one[key] for key in SETTINGS[method] if key in one and key not in _NOT_OWN}
            base = self._base(one["of"], game, place, earlier) if method == "robust" else None
            if method == "robust" and base is None:
                continue
            runs.append(
                RunSpec(
                    name, method, one["instance"], game, settings, seed=int(one.get("seed", 0)), base=base
                )
            )
        return runs

    def _game(self, one: Mapping[str, Any], place: str) -> Instance | None:
        """The instance with the model options applied; a problem is told once per choice."""
        key = tuple(one.get(name) for name in GAME)
        if key not in self.games:
            self.games[key] = None
            beside = self.path.resolve().parent / one["instance"]
            bundled = one["instance"] in instances.bundled_names()
            try:
                loaded = instances.load(one["instance"] if bundled else beside)
                self.games[key] = loaded.select(
                    periods=one.get("periods"),
                    xi=one.get("xi"),
                    kappa_per_h=one.get("kappa"),
                    tariff=one.get("tariff"),
                    price_step=one.get("price_step"),
                )
            except InstanceError as error:
                cure = f"Bundled are {', '.join(instances.bundled_names())}; a folder counts from the file."
                self.bad(f"{place}.instance", one["instance"], f"can't be used: {error}", cure)
            except ValueError as error:
                self.bad(
                    f"{place}.periods, tariff, xi, kappa or price_step",
                    None,
                    f"{error}",
                    "Change the key, or the instance.",
                )
        return self.games[key]

    def _base(
        self, name: str, game: Instance, place: str, earlier: Mapping[str, list[RunSpec]]
    ) -> RunSpec | None:
        fitting = [run for run in earlier.get(name, []) if run.game == game]
        if len(fitting) == 1:
            return fitting[0]
        problem = (
            "is no earlier block with a run of the same game" if not fitting else "has several such runs"
        )
        self.bad(
            f"{place}.of",
            name,
            problem,
            "Name an earlier [[runs]] table with one run for each of these games.",
        )
        return None


_NOT_OWN = ("seed", "seeds", "of")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
