"""What the core refuses, and says why: no wrong answer is given to a question it can't treat exactly."""

from __future__ import annotations


class Refused(ValueError):
    """The problem can't be reformulated exactly; the message names the cause and the cure."""


class InfeasibleFollower(ValueError):
    """A follower's constraints contradict each other whatever the leader does; the row is named."""
