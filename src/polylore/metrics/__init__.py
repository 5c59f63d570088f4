"""Pure functions from tables to tables. No torch, no files."""

from polylore.metrics.acquisition import acquisition, timeline
from polylore.metrics.baselines import baseline_credits, baselines
from polylore.metrics.bootstrap import (
    Draws,
    cluster_draws,
    difference_interval,
    interval,
    mean_interval,
    ratio_interval,
)
from polylore.metrics.candidates import (
    SCORES,
    gold_evidence,
    grade_candidates,
    rank_candidates,
)
from polylore.metrics.compared import model_differences, model_recall, model_tokens
from polylore.metrics.consistency import consistency, consistency_summary
from polylore.metrics.correlation import freq_corr
from polylore.metrics.data_report import data_report
from polylore.metrics.exposure import exposure_at
from polylore.metrics.freq_agreement import disagreements, freq_agreement
from polylore.metrics.frequency import freq_curve
from polylore.metrics.grade import copied_demos, grade_answers
from polylore.metrics.index import FactIndex, combine_variants
from polylore.metrics.lag import lag
from polylore.metrics.matching import default_match, object_index, paper_match
from polylore.metrics.pseudo import null_labels, planted_labels, published_labels
from polylore.metrics.rankc import rankc, rankc_chance, rankc_table, rankc_weights
from polylore.metrics.recall import recall
from polylore.metrics.representation import similarity_summary
from polylore.metrics.representation_controls import similarity_controls
from polylore.metrics.shared_strings import shared_strings
from polylore.metrics.simulated_lag import simulated_lag
from polylore.metrics.strata import strata
from polylore.metrics.surface import surface
from polylore.metrics.survival import survival
from polylore.metrics.threshold import freq_threshold

__all__ = [
    "SCORES",
    "Draws",
    "FactIndex",
    "acquisition",
    "baseline_credits",
    "baselines",
    "cluster_draws",
    "combine_variants",
    "consistency",
    "consistency_summary",
    "copied_demos",
    "data_report",
    "default_match",
    "difference_interval",
    "disagreements",
    "exposure_at",
    "freq_agreement",
    "freq_corr",
    "freq_curve",
    "freq_threshold",
    "gold_evidence",
    "grade_answers",
    "grade_candidates",
    "interval",
    "lag",
    "mean_interval",
    "model_differences",
    "model_recall",
    "model_tokens",
    "null_labels",
    "object_index",
    "paper_match",
    "planted_labels",
    "published_labels",
    "rank_candidates",
    "rankc",
    "rankc_chance",
    "rankc_table",
    "rankc_weights",
    "ratio_interval",
    "recall",
    "shared_strings",
    "similarity_controls",
    "similarity_summary",
    "simulated_lag",
    "strata",
    "surface",
    "survival",
    "timeline",
]
