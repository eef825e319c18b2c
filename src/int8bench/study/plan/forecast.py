"""How long what a run has to do will take: first guesses, scaled to this machine, and then what the run has seen. Pure.

First guesses are seconds of one thread on a virtual EPYC of 2024. They are scaled by two things that are timed before
anything else: a fixed piece of Python, and the model's own float32 on one picture.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from int8bench.engines.base import Conversion
from int8bench.lab.sampling import FEWEST_PAIRS, FEWEST_ROUNDS, LEAD_IN_BELOW_S, LISTENING_S, LONGEST
from int8bench.study.plan.plan import FORK_S, Plan
from int8bench.workload.cases import FLOAT32, Case, Group, Variant
from int8bench.workload.order import PYTHON_S, Guess, Network

SOLO_CALLS = 5  # of a contender alone, before its load: cold, settling, peak
RACE_CALLS = 2  # of each contender of a race before its rounds: the answer that is checked, the shortest warm-up
TOGETHER = 2  # launches that start, and conversions that run, at a time
ALONE = 0.7  # of the time of two that start together
EVIDENCE_S = 0.6  # beside a variant's answers: a build, its weights weighed, a profile taken
PRIOR_S = 2.0  # how much measuring must be seen before it outweighs what was expected
MOST_DRIFT = 4.0  # that a group which nobody has seen yet is taken for


# By the module of the converter; those of float32 make no calls.
CONVERSIONS = {
    "int8bench.engines.onnx.files": Guess(fixed_s=4.0, layer_s=0.1, calls=6.0),
    "int8bench.engines.inductor.files": Guess(fixed_s=20.0, layer_s=0.5, calls=2.0),
    "int8bench.engines.executorch.files": Guess(fixed_s=9.0, layer_s=0.1, calls=2.0),
    "int8bench.engines.tflite.files": Guess(fixed_s=7.0, layer_s=0.05, calls=3.0),
}
UNKNOWN = Guess(fixed_s=20.0, layer_s=0.2, calls=2.0)  # another package's
# Seconds of a picture, in those of torch's float32 channels-last.
RELATIVE = {("torch", "nchw"): 1.6, ("qnnpack", "channels_last"): 3.0, ("tflm", "nchw"): 40.0}
# Seconds that a launch takes to import what an engine needs, and to prepare a variant of it.
IMPORTS = {"torch": 1.5, "inductor": 0.3, "executorch": 0.3}
OTHER_IMPORTS_S = 0.1
PREPARE = Guess(fixed_s=0.05, layer_s=0.0, calls=0.0)
# Torch's int8 is traced in each launch; the first of its engines also observes the calibration pictures.
PREPARE_FX, OBSERVE_FX = Guess(fixed_s=0.1, layer_s=0.005, calls=0.0), Guess(fixed_s=0.3, layer_s=0.0, calls=5.5)
FX = frozenset({"fbgemm", "x86", "onednn", "qnnpack"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What tasks took, for which so much was foreseen."""

    took_s: float = 0.0
    foreseen_s: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        """Return the sum of both."""
        return Spent(took_s=self.took_s + other.took_s, foreseen_s=self.foreseen_s + other.foreseen_s)

    def over(self, expected: float) -> float:
        """Return how many times as long as foreseen tasks took; about `expected` where there is little to tell from."""
        return (self.took_s + expected * PRIOR_S) / (self.foreseen_s + PRIOR_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast things are here, as far as this run has seen them."""

    network: Network
    pictures_s: Mapping[Variant, float] = field(default_factory=dict)
    """Seconds of a picture on one thread, of those variants whose answers were checked."""
    slowness: float = 1.0
    """How much longer launches took to start than was foreseen for what they prepared."""
    seen: Mapping[Group, Spent] = field(default_factory=dict)
    """What tasks of each group took, and what the forecast was."""

    def drift(self, group: Group) -> float:
        """Return how many times as long as foreseen tasks of a group take: as its own did, or all did before those."""
        spent = self.seen.get(group, Spent())
        return spent.over(min(sum(self.seen.values(), Spent()).over(1.0), MOST_DRIFT))

    def learned(self, group: Group, spent: Spent) -> "Pace":
        """Return the pace with one more task of a group.

        Args:
            group: of the task.
            spent: what it took, and what was foreseen for it.
        """
        return replace(self, seen={**self.seen, group: self.seen.get(group, Spent()) + spent})

    def call_s(self, variant: Variant, group: Group) -> float:
        """Return the seconds of one call; of several threads each after the first is taken for half of one.

        Args:
            variant: as fast as its check was, else in proportion to float32.
            group: the pictures of the call, and its threads.
        """
        relative = RELATIVE.get((variant.engine, variant.layout), 1.0)
        picture_s = self.pictures_s.get(variant, self.network.picture_s * relative)
        return picture_s * group.batch / (1 + 0.5 * (group.threads - 1))

    def conversion_s(self, conversion: Conversion) -> float:
        """Return the seconds of a conversion that nobody remembers."""
        guess = CONVERSIONS.get(conversion.function.__module__, UNKNOWN)
        return self.network.seconds(replace(guess, calls=0.0) if FLOAT32 in conversion.name else guess)

    def check_s(self, variant: Variant, pictures: int) -> float:
        """Return the seconds until a variant's answers are checked.

        Args:
            variant: that answers on one thread.
            pictures: to answer.
        """
        return EVIDENCE_S + pictures * self.call_s(variant, Group(batch=1, threads=1))

    def launch_s(self, variants: Sequence[Variant], launches: int) -> float:
        """Return the seconds until launches have started, `TOGETHER` at a time.

        Args:
            variants: that each launch prepares.
            launches: to start.
        """
        pair_s = self.slowness * self._prepared_s(variants)
        pairs, single = divmod(launches, TOGETHER)
        return pair_s * (pairs + ALONE * single)

    def race_s(self, cases: Sequence[Case], plan: Plan) -> float:
        """Return the seconds of one fork's race, without drift.

        Args:
            cases: of one group.
            plan: with the durations of a fork.
        """
        calls = [self.call_s(case.variant, case.group) for case in cases]
        turns_s = sum(calls) * (2 if min(calls) < LEAD_IN_BELOW_S else 1)
        warm_s = sum(max(plan.durations.warmup_s, call) + LISTENING_S for call in calls)
        beside_s = FORK_S + (RACE_CALLS - 1) * sum(calls) + warm_s + max(plan.durations.single_s, sum(calls))
        return beside_s + _rounds_s(turns_s, plan.durations.race_s)

    def solo_s(self, case: Case, plan: Plan, cores: int) -> float:
        """Return the seconds of a contender alone, without drift.

        As many streams as the cores carry: one first, the others together.

        Args:
            case: the contender in its setting.
            plan: with the seconds of sustained load.
            cores: that the streams share.
        """
        call_s, streams = self.call_s(case.variant, case.group), cores // case.group.threads
        return 2 * FORK_S + min(streams, 2) * SOLO_CALLS * call_s + max(plan.load_s, call_s)

    def _prepared_s(self, variants: Sequence[Variant]) -> float:
        engines = {variant.engine for variant in variants}
        imports_s = sum(IMPORTS.get(engine, OTHER_IMPORTS_S) for engine in engines)
        prepare_s = sum(self.network.seconds(PREPARE_FX if variant.engine in FX else PREPARE) for variant in variants)
        observe_s = self.network.seconds(OBSERVE_FX) if FX & engines else 0.0
        return imports_s * self.network.python_s / PYTHON_S + prepare_s + observe_s


def _rounds_s(turns_s: float, race_s: float) -> float:
    """Return the seconds of the rounds of a race.

    It ends with its time and its rounds, or, where it is late, with its fewest pairs.
    """
    if FEWEST_ROUNDS * turns_s <= LONGEST * race_s:
        return max(race_s, FEWEST_ROUNDS * turns_s)
    return max(LONGEST * race_s, FEWEST_PAIRS * turns_s)


def together_s(each_s: Sequence[float]) -> float:
    """Return the seconds of conversions of which `TOGETHER` run at a time."""
    return max(max(each_s, default=0.0), math.fsum(each_s) / TOGETHER)
