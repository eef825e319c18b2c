"""What a coordinator, its launches and their forks say to each other. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a launch does once: ``function(payload)``, named ``module:function``; its result is handed to every task.

    With `serves` it is called as ``function(payload, serve)`` and calls ``serve(state)`` where the launch is ready:
    forks are then served from there, with all that is alive at that point, and the call does not return.
    """

    function: str
    payload: object
    serves: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a fork does: ``function(state, payload, channel)``, named ``module:function``."""

    function: str
    payload: object
    cores: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A fault of ours or of a contender inside a measuring process, in one sentence, with its trace for the curious."""

    sentence: str
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a task returned."""

    value: object
