"""Injecting passages into a stream of training rows, by a plan that is a table."""

from polylore.corpus.injection.arms import STANDARD, ArmConfig, batch_matched, interval_sweep
from polylore.corpus.injection.dose import arm_doses, check_matched
from polylore.corpus.injection.format import RowFormat, passage_tokens
from polylore.corpus.injection.injector import Injector
from polylore.corpus.injection.ledger import plan_exposure
from polylore.corpus.injection.place import place
from polylore.corpus.injection.published import published_arms, published_plan, published_schedule
from polylore.corpus.injection.schedule import make_schedule
from polylore.corpus.injection.square import crossed, latin_square, runs_to_meet
from polylore.corpus.injection.stream import Guard, RowMap, inject

__all__ = [
    "STANDARD",
    "ArmConfig",
    "Guard",
    "Injector",
    "RowFormat",
    "RowMap",
    "arm_doses",
    "batch_matched",
    "check_matched",
    "crossed",
    "inject",
    "interval_sweep",
    "latin_square",
    "make_schedule",
    "passage_tokens",
    "place",
    "plan_exposure",
    "published_arms",
    "published_plan",
    "published_schedule",
    "runs_to_meet",
]
