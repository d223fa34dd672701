"""Instances of the game: what a folder of CSV files holds, read, checked and written."""

from instances.errors import InstanceError, Problem
from instances.model import Instance
from instances.plausibility import suspicions
from instances.reader import bundled_names, load, parse, problems_of
from instances.writer import files_of, save

__all__ = [
    "Instance",
    "InstanceError",
    "Problem",
    "bundled_names",
    "files_of",
    "load",
    "parse",
    "problems_of",
    "save",
    "suspicions",
]
