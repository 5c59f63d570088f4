"""When representations of one fact in several languages become one, and what depends on it.

Specification of `unify`, sections 2.3 to 2.10 and 10.2.
"""

from polylore.metrics.unification.adjusted import Adjusted, adjusted
from polylore.metrics.unification.answers import Cells, Said, answer_rows, value_rows
from polylore.metrics.unification.causal import causal
from polylore.metrics.unification.conditions import RunDraws, acc_draws, conditions, u_draws
from polylore.metrics.unification.contributions import Contributions, contributions
from polylore.metrics.unification.correlation import correlation
from polylore.metrics.unification.course import Baselines, baselines, course, entropy_of, label
from polylore.metrics.unification.effects import effects
from polylore.metrics.unification.linear import cka, cka_debiased, half_of, u_proc
from polylore.metrics.unification.link import link
from polylore.metrics.unification.link_covariates import link_covariates
from polylore.metrics.unification.link_items import LinkFacts, link_items
from polylore.metrics.unification.link_observations import (
    EACH,
    FRESH,
    KNOWN,
    Score,
    observations,
)
from polylore.metrics.unification.measure import VARIANTS, Items, Variant, What, measure
from polylore.metrics.unification.overlap import chance_overlap, neighbour_overlap, unit_overlap
from polylore.metrics.unification.phases import (
    Crossing,
    Series,
    crossing,
    lags,
    phase_table,
    phases,
)
from polylore.metrics.unification.probe import codelength, probe, probe_rows
from polylore.metrics.unification.ranks import correlations, isotonic_mae, spearman_draws
from polylore.metrics.unification.resampling import (
    Estimate,
    cluster_weights,
    mean_over_seeds,
    over_runs,
    score_draws,
    weighted_means,
)
from polylore.metrics.unification.scores import Scores, normalised, u_items
from polylore.metrics.unification.shuffled import Null, permutations, shuffled_null
from polylore.metrics.unification.summary import unification
from polylore.metrics.unification.transfer import transfer
from polylore.metrics.unification.used import pref_mass, used_association, used_info
from polylore.metrics.unification.vectors import Distractors, prepared

__all__ = [
    "EACH",
    "FRESH",
    "KNOWN",
    "VARIANTS",
    "Adjusted",
    "Baselines",
    "Cells",
    "Contributions",
    "Crossing",
    "Distractors",
    "Estimate",
    "Items",
    "LinkFacts",
    "Null",
    "RunDraws",
    "Said",
    "Score",
    "Scores",
    "Series",
    "Variant",
    "What",
    "acc_draws",
    "adjusted",
    "answer_rows",
    "baselines",
    "causal",
    "chance_overlap",
    "cka",
    "cka_debiased",
    "cluster_weights",
    "codelength",
    "conditions",
    "contributions",
    "correlation",
    "correlations",
    "course",
    "crossing",
    "effects",
    "entropy_of",
    "half_of",
    "isotonic_mae",
    "label",
    "lags",
    "link",
    "link_covariates",
    "link_items",
    "mean_over_seeds",
    "measure",
    "neighbour_overlap",
    "normalised",
    "observations",
    "over_runs",
    "permutations",
    "phase_table",
    "phases",
    "pref_mass",
    "prepared",
    "probe",
    "probe_rows",
    "score_draws",
    "shuffled_null",
    "spearman_draws",
    "transfer",
    "u_draws",
    "u_items",
    "u_proc",
    "unification",
    "unit_overlap",
    "used_association",
    "used_info",
    "value_rows",
    "weighted_means",
]
