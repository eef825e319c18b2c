"""Checks what every variant answers before anything is timed, in as many pictures as the run has time for."""

import math
from dataclasses import replace

from int8bench.engines.base import Logits
from int8bench.errors import LabError
from int8bench.lab.launches import Launch
from int8bench.study.plan.budget import TimeIsUp
from int8bench.study.plan.forecast import EVIDENCE_S
from int8bench.study.session import probing, worker
from int8bench.study.session.session import Session
from int8bench.workload.cases import INT8, Group, Variant, float32_references

FLOAT32_SHARES = 2.0  # float32's answers are what all others are held against, and as many as these are checked at most


def check(session: Session, launch: Launch) -> None:
    """Check the answers of every live variant, and probe the engines that show their integers.

    Args:
        session: of the run, with the time that it has left.
        launch: the first one, prepared.

    Raises:
        LabError: the launch is gone.
        TimeIsUp: no time is left.
    """
    expected = _expected(session, launch)
    for variant in session.variants() if expected is not None else ():
        share_s = session.check_share_s()
        foreseen_s = min(session.pace.check_s(variant, len(session.subject.validation)), share_s)
        session.tell(f"checking the answers of {variant.label}")
        group = _largest(session, variant)
        order = worker.Check(variant=variant, group=group, expected=expected, limit_s=_answering_s(share_s))
        try:
            checked = launch.fork(worker.check, order).result(session.timeout_s())
        except LabError as error:
            alive(session, launch)
            session.give_up(session.of(variant), error, "the check of its answers")
        else:
            _enter(session, variant, checked)
        session.unchecked -= {variant}
        session.step(foreseen_s)
    session.unchecked = frozenset()
    engines = tuple(dict.fromkeys(v.engine for v in session.ledger.checks if v.precision == INT8))
    session.ledger.probes.update(probing.by_integers(launch, engines))
    session.step(0.0)


def alive(session: Session, launch: Launch) -> None:
    """Raise where no cell is to be blamed for a failure.

    Args:
        session: of the run, with the time that it has left.
        launch: in which the failure happened.

    Raises:
        LabError: the launch itself is gone.
        TimeIsUp: the run's time is over, which is why nobody waited any longer.
    """
    if session.budget.is_over():
        raise TimeIsUp
    try:
        launch.fork(worker.idle, None).result(session.timeout_s())
    except LabError:
        if session.budget.is_over():
            raise TimeIsUp from None
        raise


def _expected(session: Session, launch: Launch) -> Logits | None:
    """Return float32's answers; None where it has none, and nothing can be held against it."""
    reference = float32_references()[0]
    session.tell(f"asking {reference.label} for the answers that all others are held against")
    share_s = FLOAT32_SHARES * session.check_share_s()
    order = worker.Expect(group=_largest(session, None), limit_s=_answering_s(share_s))
    try:
        logits = launch.fork(worker.expect, order).result(session.timeout_s())
    except LabError as error:
        alive(session, launch)
        session.give_up(session.all_live(), error, "float32")
        return None
    session.pace = replace(session.pace, pictures_s={**session.pace.pictures_s, reference: logits.picture_s})
    return logits.answers


def _enter(session: Session, variant: Variant, checked: worker.Checked) -> None:
    session.ledger.checks[variant] = checked
    if checked.picture_s is not None:
        session.pace = replace(session.pace, pictures_s={**session.pace.pictures_s, variant: checked.picture_s})
    if checked.objection is not None:
        for case in session.of(variant):
            session.ledger.fail(case.id, checked.objection)


def _largest(session: Session, variant: Variant | None) -> Group:
    """Return the group that a check is built for: the largest batch that a variant is raced at, on one thread."""
    live = [case for case in session.all_live() if variant in {None, case.variant}]
    return Group(batch=max(case.group.batch for case in live), threads=1)


def _answering_s(share_s: float) -> float:
    """Return the seconds of a check's share that are left for answers."""
    return share_s if math.isinf(share_s) else max(0.0, share_s - EVIDENCE_S)
