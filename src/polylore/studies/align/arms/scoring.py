"""From the raw rows of arms to every table: cells, effects, claims, conductivity, gates."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from polylore.facts.choices.from_facts import FREE
from polylore.facts.fiction.world import World
from polylore.metrics.align.analysis import HEADLINES, Rules, align_tables
from polylore.metrics.align.claims import family, judged
from polylore.metrics.align.effects import (
    Contrast,
    Scores,
    System,
    effects,
    groups_of,
    scores,
    shared_languages,
)
from polylore.metrics.align.free import NAMES, free_layouts
from polylore.metrics.align.layout import Layout, cluster_weights, layouts
from polylore.runs import RunFolder
from polylore.studies.align.arms.comparisons import (
    Judged,
    comparisons,
    is_about,
    plain,
)
from polylore.studies.align.arms.conduction import conduction_claims
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.manifest import arms_table, budgets_table
from polylore.studies.align.arms.shuffled import with_taught_gates
from polylore.studies.align.arms.siblings import Manifest, Pair, siblings_table
from polylore.studies.align.asking.sets import Sets
from polylore.studies.align.conducting.score import conduct_tables
from polylore.tables.align import EFFECTS, SYSTEM_KEY

Progress = Callable[[int, int, str], None]


def score_arms(
    run: RunFolder,
    config: ArmsConfig,
    sets: Sets | None,
    worlds: Mapping[str, World],
    manifests: Sequence[Manifest],
    pairs: Sequence[Pair],
    *,
    shuffled: Mapping[str, Mapping[str, World]],
    allow_confounded: bool = False,
    progress: Progress | None = None,
) -> dict[str, pl.DataFrame]:
    """Compute and store every derived table; can be repeated at any time.

    Args:
        run: the run folder, with its raw units.
        config: of the run.
        sets: what was asked.
        worlds: invented worlds by target.
        manifests: of all finished trainings.
        pairs: comparisons.
        shuffled: worlds with permuted answers, by run_id and target.
        allow_confounded: judge arms that are no siblings, too; their rows say so.
        progress: called with (done, total, what).
    """
    show = progress or (lambda done, total, what: None)
    own = [m["run_id"] for m in manifests]

    def raw(name: str) -> pl.DataFrame:
        """Raw rows of these trainings: the folder may hold some of arms that were taken out."""
        frame = run.read(name)
        key = "run_id" if "run_id" in frame.columns else "model"
        return frame.filter(pl.col(key).is_in(own))

    made = {
        "align_arms": arms_table(manifests),
        "align_budgets": budgets_table(manifests),
        "align_siblings": siblings_table(pairs, manifests),
        "align_loss": raw("align_loss"),
        "align_exposure": raw("align_exposure"),
    }
    compared = list(comparisons(pairs, made["align_siblings"], manifests, allow_confounded))
    rows: list[dict[str, Any]] = []
    if sets is not None:
        show(0, 3, "scoring the sets")
        made |= _set_tables(raw, config, sets, progress)
        answered = _layouts(made, sets.items)
        scored = [_scores(layout, config) for layout in answered]
        seeds = _systems(answered, manifests)
        flagged = _flagged(made["align_trust"])
        made["align_effects"] = pl.concat(
            [EFFECTS.empty(), *_effects(scored, seeds, compared, manifests, config, flagged)]
        )
        show(1, 3, "judging claims")
        rows += _claims(scored, seeds, compared, config)
    answers = raw("fiction_answers")
    if answers.height:
        show(2, 3, "scoring invented facts")
        trained = {m["run_id"]: _trained(m) for m in manifests if m["kind"] == "inject"} | {
            m["run_id"]: () for m in manifests if m["kind"] != "inject"
        }
        made |= conduct_tables(
            answers, worlds.values(), trained=trained, draws=config.score.draws,
            seed=config.score.seed, threshold=config.eval.gate,
        )  # fmt: skip
        made |= with_taught_gates(made, answers, shuffled, manifests, threshold=config.eval.gate)
        rows += conduction_claims(
            answers, worlds, compared, manifests, made["align_conductivity"], config
        )
    made["align_claims"] = family(rows)
    for name, frame in made.items():
        run.write_table(name, frame)
    show(3, 3, "done")
    return made


def effects_of(
    run: RunFolder,
    config: ArmsConfig,
    sets: Sets,
    manifests: Sequence[Manifest],
    arm: str,
    minus: str,
) -> pl.DataFrame:
    """Differences between two arms; table ALIGN_EFFECTS."""
    made = {name: run.table(name) for name in ("align_parsed", "align_free", "align_trust")
            if run.has_table(name)}  # fmt: skip
    answered = _layouts(made, sets.items)
    about = next(m for m in manifests if m["arm"] == arm)
    one = plain(Pair(arm, minus, ""), about)
    seeds = _systems(answered, manifests)
    flagged = _flagged(made["align_trust"])
    scored = [_scores(layout, config) for layout in answered]
    found = _effects(scored, seeds, [one], manifests, config, flagged)
    return pl.concat([EFFECTS.empty(), *found]).filter(
        (pl.col("arm") == arm) & (pl.col("minus") == minus)
    )


def _set_tables(
    raw: Callable[[str], pl.DataFrame], config: ArmsConfig, sets: Sets, progress: Progress | None
) -> dict[str, pl.DataFrame]:
    languages = sets.questions["lang"].unique(maintain_order=True).to_list()
    rules = Rules(
        pivot=config.pivot,
        languages=sorted(languages, key=lambda lang: lang != config.pivot),
        parsers=("robust",),
        draws=config.score.draws,
        seed=config.score.seed,
    )
    return align_tables(
        raw("align_answers"),
        sets.items,
        sets.questions,
        raw("align_option_scores"),
        facts=sets.facts,
        # What an earlier training told is only known where the start model was trained here.
        exposure=None if config.start.fresh is None else seen(raw("align_exposure"), sets),
        rules=rules,
        progress=progress,
    )


def seen(exposure: pl.DataFrame, sets: Sets) -> pl.DataFrame:
    """Which facts were told to which model in which language, and which were not.

    Args:
        exposure: table EXPOSURE.
        sets: what is asked.

    Returns:
        model, step, fact_id, lang, seen.
    """
    models = exposure.select("run_id", "step").unique(maintain_order=True)
    asked = sets.facts.select("fact_id", "lang").unique(maintain_order=True)
    told = exposure.select("run_id", "step", "fact_id", "lang", seen=pl.col("count") > 0)
    keys = ["run_id", "step", "fact_id", "lang"]
    every = models.join(asked, how="cross").join(told, on=keys, how="left", maintain_order="left")
    return every.with_columns(pl.col("seen").fill_null(False)).rename({"run_id": "model"})


def _layouts(made: Mapping[str, pl.DataFrame], items: pl.DataFrame) -> list[Layout]:
    """One layout per set: options by the first of `HEADLINES` there is, free answers as text."""
    found: list[Layout] = []
    parsed = made["align_parsed"]
    for dataset in items["dataset"].unique(maintain_order=True):
        if dataset.endswith(FREE):
            own = made.get("align_free", pl.DataFrame())
            rows = own.filter(pl.col("dataset") == dataset) if own.height else own
            if rows.height:
                found += [one for one in free_layouts(rows, items) if one.parser == NAMES]
            continue
        rows = parsed.filter(pl.col("dataset") == dataset)
        there = set(rows["mode"])
        mode = next((name for name in HEADLINES if name in there), None)
        kept = rows.filter(pl.col("mode") == mode)
        parser = "robust" if mode == "generate" else "scores"
        found += layouts(kept, items.filter(pl.col("dataset") == dataset), parser)
    return found


def _scores(layout: Layout, config: ArmsConfig) -> Scores:
    weights = cluster_weights(layout, config.score.draws, config.score.seed)
    return scores([layout], {layout.dataset: weights}, metric="x", pivot=config.pivot)


Systems = dict[tuple[str, str], dict[int, System]]
"""By set and arm: the last model of every training seed."""


def _systems(answered: Sequence[Layout], manifests: Sequence[Manifest]) -> Systems:
    about = {m["run_id"]: (m["arm"], m["seed"], m["spent"]["updates"]) for m in manifests}
    found: Systems = {}
    for layout in answered:
        for row in layout.cells.select(SYSTEM_KEY).unique(maintain_order=True).iter_rows():
            known = about.get(row[0])
            if known is not None and known[2] == row[1]:
                found.setdefault((layout.dataset, known[0]), {})[known[1]] = row
    return found


def _contrast(one: Judged, dataset: str, seeds: Systems) -> Contrast | None:
    arm, minus = (seeds.get((dataset, name), {}) for name in (one.pair.arm, one.pair.minus))
    pairs = tuple((arm[seed], minus[seed]) for seed in sorted(set(arm) & set(minus)))
    if not pairs:
        return None
    return Contrast(
        one.pair.arm, one.pair.minus, pairs, one.target, one.inside, siblings=one.siblings
    )


def _effects(
    scored: Sequence[Scores],
    seeds: Systems,
    compared: Sequence[Judged],
    manifests: Sequence[Manifest],
    config: ArmsConfig,
    flagged: Mapping[tuple[object, ...], str],
) -> Iterator[pl.DataFrame]:
    """Differences of every comparison, and of every arm from the start (side effects)."""
    arms = dict.fromkeys(arm for _, arm in seeds)
    by_name = {m["arm"]: m for m in manifests}
    pairs = {(one.pair.arm, one.pair.minus): one for one in compared}
    for arm in arms:
        if arm != "none" and ("none" in arms) and (arm, "none") not in pairs:
            pairs[arm, "none"] = plain(Pair(arm, "none", "training"), by_name[arm])
    for one in scored:
        dataset = next(iter(one.values), None)
        contrasts = [_contrast(pair, str(dataset), seeds) for pair in pairs.values()]
        found = [contrast for contrast in contrasts if contrast is not None]
        if found:
            yield effects(
                one, found, levels={}, pivot=config.pivot, flagged=flagged,
                seed=config.score.seed,
            )  # fmt: skip


def _claims(
    scored: Sequence[Scores],
    seeds: Systems,
    compared: Sequence[Judged],
    config: ArmsConfig,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for one in scored:
        for dataset in one.values:
            for pair in compared:
                contrast = _contrast(pair, dataset, seeds)
                if contrast is None:
                    continue
                groups = groups_of(
                    contrast, shared_languages(one, contrast, [dataset]), config.pivot
                )
                for claim in pair.claims:
                    if claim.group in groups and is_about(dataset, pair, config):
                        rows += judged(
                            one, contrast, dataset, [dataset], groups[claim.group], claim,
                            config.score.margins, config.score.seed,
                        )  # fmt: skip
    return rows


def _trained(manifest: Manifest) -> tuple[str, ...]:
    return tuple(manifest["components"])


def _flagged(trust: pl.DataFrame) -> dict[tuple[object, ...], str]:
    rows = trust.filter(~pl.col("usable")).select(*SYSTEM_KEY, "dataset", "lang", "reason")
    return {tuple(row[:-1]): str(row[-1]) for row in rows.iter_rows()}
