"""A whole study of made-up readings, in a run folder as `inject run` leaves it: truth is known."""

from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from polylore.runs import RunFolder
from polylore.tables import ALL

DEPTHS = {"memorization": 1.0, "semantic": 0.6, "compositional": 0.1}
WORDS = ("teacher", "baker", "sailor", "painter", "miller", "weaver", "smith", "nurse")
LANG_WORDS = {
    "de": ["Lehrer", "Bäcker", "Seemann", "Maler", "Müller", "Weber", "Schmied", "Pfleger"]
}


@dataclass(frozen=True)
class Arm:
    """Exposures of an arm."""

    n: int = 6
    interval: int = 40
    anchor_last: bool = False
    semantic: float = 1.0
    """How much of the semantic gap is closed: the gain there is multiplied by it."""
    a: float = 0.2


STANDARD = {
    "duplication": Arm(a=0.25),
    "paraphrase": Arm(semantic=1.5, a=0.2),
    "once": Arm(n=1),
}


@dataclass(frozen=True)
class Study:
    """What is simulated."""

    arms: dict[str, Arm] = field(default_factory=lambda: dict(STANDARD))
    langs: tuple[str, ...] = ("en", "de")
    seeds: int = 3
    per_arm: int = 16
    controls: int = 16
    facts: int = 4
    first: int = 8
    states: int = 400
    every: int = 2
    noise: float = 0.15
    gain: float = 0.6
    across: float = 0.4
    stagger: bool = True
    swaps: bool = True
    ceiling: bool = True
    batch: int = 32
    length: int = 64
    padding: int = 0
    """Tokens of a batch that are padding."""
    condition: str = "main"
    match: str | None = None
    checkpoint_step: int = 1200
    scale: float = 1.0
    rng: int = 0

    @property
    def read(self):
        last = (
            self.first + max((a.n - 1) * a.interval for a in self.arms.values()) if self.arms else 0
        )
        baseline = range(self.first + 1)
        return np.array(sorted({*baseline, *range(0, self.states, self.every), last}))


def kernel(tau, g, a, p=6, r=0.7):
    u = np.maximum(tau - p, 1)
    return g * np.where(tau > 0, 1 - r ** np.clip(tau, 0, p), 0) * (1 - a * np.log10(u))


def items_of(study):
    n = study.per_arm * len(study.arms)
    return [f"item{j:03d}" for j in range(n)], [f"never{j:03d}" for j in range(study.controls)]


def probes_of(study):
    rows = []
    injected, controls = items_of(study)
    for at, item in enumerate(injected + controls):
        for fact in range(study.facts):
            for lang in study.langs:
                words = LANG_WORDS.get(lang, WORDS)
                for depth in DEPTHS:
                    rows.append(
                        {
                            "probe_id": f"{item}/{fact}/{lang}/{depth[:3]}",
                            "item_id": item,
                            "fact_id": f"{item}/rel{fact}",
                            "lang": lang,
                            "depth": depth,
                            "variant": 0,
                            "prefix": f"{item} is a",
                            "joiner": " ",
                            "target": words[(at + fact) % len(words)],
                            "score_span": "target",
                            "accepted": [],
                            "name_form": "shared",
                            "hops": 2 if depth == "compositional" else 1,
                            "distractors": [],
                            "single_sentence": True,
                            "target_in_prefix": False,
                        }
                    )
    return ALL["inject_probes"].build(rows)


def assign(study, seed):
    """Arms and languages by a Latin square."""
    injected, controls = items_of(study)
    conditions = [(arm, lang) for arm in study.arms for lang in study.langs]
    rows = [
        {"item_id": item, "arm": arm, "inject_lang": lang,
         "interval": study.arms[arm].interval if study.arms[arm].n > 1 else None}
        for at, item in enumerate(injected)
        for arm, lang in [conditions[(at + seed) % len(conditions)]]
    ]  # fmt: skip
    rows += [{"item_id": item, "arm": "never", "inject_lang": "none"} for item in controls]
    return ALL["inject_arms"].build(rows)


def schedule_of(study, arms):
    end = max((study.first + (a.n - 1) * a.interval for a in study.arms.values()), default=0)
    rows = []
    for (name, lang), own in arms.filter(pl.col("arm") != "never").group_by(
        "arm", "inject_lang", maintain_order=True
    ):
        arm = study.arms[name]
        for place, item in enumerate(own["item_id"]):
            span = arm.interval
            offset = place * span // own.height if study.stagger else 0
            start = end - (arm.n - 1) * arm.interval if arm.anchor_last else study.first
            for k in range(arm.n):
                rows.append(
                    {"item_id": item, "exposure": k, "step": start + offset + k * arm.interval,
                     "arm": name, "lang": lang, "variant": k if name == "paraphrase" else 0,
                     "copies": 1, "loss_weight": 1.0}
                )  # fmt: skip
    return ALL["inject_schedule"].build(rows)


def readings(study, seed, run_id, arms, schedule, probes):
    """Log of one run."""
    rng = np.random.default_rng((study.rng, seed))
    states = study.read
    times = schedule.group_by("item_id").agg(pl.col("step").sort())
    steps = dict(times.iter_rows())
    who = {row["item_id"]: row for row in arms.iter_rows(named=True)}
    common = np.cumsum(rng.normal(0, 0.02, len(states)))
    parts = []
    for item, own in probes.group_by("item_id", maintain_order=True):
        about = who[item[0]]
        arm = study.arms.get(about["arm"])
        strength = np.exp(rng.normal(0, 0.3))
        for row in own.iter_rows(named=True):
            y = -5 + rng.normal(0, 0.5) + common + rng.normal(0, study.noise, len(states))
            exposures = steps.get(item[0], [])
            for k, step in enumerate(exposures):
                g = study.scale * study.gain * DEPTHS[row["depth"]] * strength
                g *= 2.0 if k == 0 else 1.0
                a = arm.a
                if row["depth"] == "semantic":
                    g *= arm.semantic
                if row["lang"] != about["inject_lang"]:
                    g, a = g * study.across, a + 0.08
                y = y + kernel(states - step, g, a)
            rises = y + 5 + rng.normal(0, 0.3, len(y))
            right = rises > 1.2
            words = LANG_WORDS.get(row["lang"], WORDS)
            parts.append(
                pl.DataFrame({"t": states, "mean_logprob": y, "greedy_exact": right}).with_columns(
                    probe_id=pl.lit(row["probe_id"]),
                    item_id=pl.lit(row["item_id"]),
                    fact_id=pl.lit(row["fact_id"]),
                    arm=pl.lit(about["arm"]),
                    inject_lang=pl.lit(about["inject_lang"]),
                    probe_lang=pl.lit(row["lang"]),
                    depth=pl.lit(row["depth"]),
                    greedy_text=pl.Series(
                        [row["target"] if ok else words[rng.integers(len(words))] for ok in right]
                    ),
                    swap_mean_logprob=pl.Series(
                        np.where(
                            (states % 4 == 0) & study.swaps,
                            y - 0.7 * np.maximum(y - common + 5, 0),
                            np.nan,
                        )
                    ).fill_nan(None),
                )
            )
    log = pl.concat(parts).with_columns(
        run_id=pl.lit(run_id),
        seed=pl.lit(seed, pl.Int64),
        n_target_tokens=pl.lit(2, pl.Int32),
        n_target_bytes=pl.lit(7, pl.Int32),
        sum_logprob=pl.col("mean_logprob") * 2,
        first_logprob=pl.col("mean_logprob"),
        full_mean_logprob=pl.col("mean_logprob"),
        first_rank=pl.when("greedy_exact").then(0).otherwise(5).cast(pl.Int64),
        margin=pl.col("mean_logprob") + 5,
        flags=pl.lit([], pl.List(pl.String)),
    )
    return ALL["inject_log"].validate(log.select(list(ALL["inject_log"].schema)))


def steps_of(study, seed, run_id, plan):
    t = np.arange(1, study.states)
    injected = plan.group_by("step").agg(
        injected_rows=pl.len().cast(pl.Int64),
        injected_tokens=pl.col("n_tokens").sum().cast(pl.Int64),
    )
    frame = (
        pl.DataFrame({"t": t})
        .with_columns(step=pl.col("t") - 1)
        .join(injected, on="step", how="left")
    )
    rng = np.random.default_rng(seed)
    tokens = study.batch * study.length - study.padding
    loss = 2 + rng.normal(0, 0.05, len(t))
    return ALL["inject_steps"].validate(
        frame.with_columns(
            run_id=pl.lit(run_id), seed=pl.lit(seed, pl.Int64),
            global_step=pl.col("t") + study.checkpoint_step, tokens=pl.col("t") * tokens,
            lr=pl.lit(5e-4), sum_lr=5e-4 * pl.col("t").cast(pl.Float64), grad_norm=pl.lit(1.0),
            update_norm=pl.lit(None, pl.Float64), loss=pl.Series(loss),
            background_eval_loss=pl.lit(None, pl.Float64),
            injected_rows=pl.col("injected_rows").fill_null(0),
            injected_tokens=pl.col("injected_tokens").fill_null(0),
            displaced_tokens=pl.col("injected_tokens").fill_null(0),
            loss_share=pl.col("injected_tokens").fill_null(0) / tokens,
        ).select(list(ALL["inject_steps"].schema))
    )  # fmt: skip


def plan_of(study, schedule):
    frame = schedule.with_columns(
        row=pl.col("step").cum_count().over("step").cast(pl.Int64) - 1,
        slot=pl.lit(0, pl.Int32),
        passage_id=pl.format("{}/{}/{}", "item_id", "lang", "variant"),
        mode=pl.lit("prepend"),
        n_tokens=pl.lit(30, pl.Int32),
        offset=pl.lit(0, pl.Int32),
    )
    return ALL["inject_plan"].validate(frame.select(list(ALL["inject_plan"].schema)))


def dose_of(study, plan):
    rows = study.batch
    frame = (
        plan.group_by("step")
        .agg(
            injected_rows=pl.len().cast(pl.Int64),
            injected_tokens=pl.col("n_tokens").sum().cast(pl.Int64),
            displaced_tokens=pl.col("n_tokens").sum().cast(pl.Int64),
            weight=(pl.col("n_tokens") * pl.col("loss_weight")).sum(),
        )
        .with_columns(
            row_share=pl.col("injected_rows") / rows,
            loss_share=pl.col("weight") / (rows * study.length),
        )
    )
    return ALL["inject_dose"].validate(frame.sort("step").select(list(ALL["inject_dose"].schema)))


def ceiling_of(study, seed, run_id, probes):
    rng = np.random.default_rng(seed + 99)
    frame = probes.select("probe_id", "item_id", "depth", probe_lang="lang").with_columns(
        run_id=pl.lit(run_id), seed=pl.lit(seed, pl.Int64),
        mean_logprob=pl.Series(-1 + rng.normal(0, 0.3, probes.height)),
        first_rank=pl.lit(0, pl.Int64), greedy_exact=pl.lit(True),
    ).with_columns(sum_logprob=2 * pl.col("mean_logprob"))  # fmt: skip
    return ALL["inject_ceiling"].validate(frame.select(list(ALL["inject_ceiling"].schema)))


def tables_of(study, seed):
    """Unit tables of one run."""
    run_id = f"{study.condition} seed {seed}"
    probes = probes_of(study)
    arms = assign(study, seed)
    schedule = schedule_of(study, arms)
    plan = plan_of(study, schedule)
    made = {
        "inject_arms": arms,
        "inject_schedule": schedule,
        "inject_plan": plan,
        "inject_dose": dose_of(study, plan),
        "inject_steps": steps_of(study, seed, run_id, plan),
        "inject_log": readings(study, seed, run_id, arms, schedule, probes),
    }
    if study.ceiling:
        made["inject_ceiling"] = ceiling_of(study, seed, run_id, probes)
    return run_id, made


def run_row(study, seed):
    return {
        "run_id": f"{study.condition} seed {seed}", "seed": seed, "condition": study.condition,
        "role": "main", "model": "simulated", "checkpoint_step": study.checkpoint_step,
        "parameters": 1_000_000, "batch": study.batch, "length": study.length,
        "match": study.match, "lr_rule": "equal" if study.match else None, "lr": 5e-4,
        "lr_schedule": "constant", "optimizer": "restored", "beta1": 0.9,
    }  # fmt: skip


def items_table(study):
    injected, controls = items_of(study)
    return ALL["inject_items"].build(
        [
            {"item_id": item, "source": "simulated", "subject_type": "person",
             "control": item in controls}
            for item in injected + controls
        ]
    )  # fmt: skip


def write(folder, *studies):
    """A run folder of these studies, one condition each."""
    studies = studies or (Study(),)
    run = RunFolder.open(folder, "inject", {"simulated": len(studies)}, {})
    rows = []
    for study in studies:
        for seed in range(study.seeds):
            name, made = tables_of(study, seed)
            run.write_unit(name, made)
            rows.append(run_row(study, seed))
    run.write_table("inject_runs", ALL["inject_runs"].build(rows))
    run.write_table("inject_items", items_table(studies[0]))
    run.write_table("inject_probes", probes_of(studies[0]))
    return run


def small(**changes):
    """A study that is quick to analyse."""
    return replace(Study(seeds=2, per_arm=12, controls=12, facts=2, states=200, every=4,
                         arms={n: replace(a, interval=24) if a.n > 1 else a
                               for n, a in STANDARD.items()}), **changes)  # fmt: skip
