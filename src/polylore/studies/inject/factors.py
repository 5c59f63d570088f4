"""What is known of each pair of languages, beside what is measured of it (`inject`, 2.7)."""

import polars as pl

from polylore.corpus.documents.languages import canonical
from polylore.errors import ConfigError
from polylore.metrics.injection.trajectories import CONTROL
from polylore.studies.inject.documents import UNTOLD
from polylore.studies.inject.raw import RawRuns
from polylore.text.languages import language


def pair_factors(raw: RawRuns, runs: list[str], log: pl.DataFrame) -> pl.DataFrame:
    """What is known of each pair of languages: script, form of the subject's name, background.

    Runs of a condition read the same background.

    Args:
        raw: a run folder.
        runs: runs of one condition.
        log: their readings.

    Returns:
        inject_lang, probe_lang and `metrics.injection.transfer.FACTORS`.
    """
    forms = dict(
        raw.probes.group_by("lang").agg(pl.col("name_form").drop_nulls().unique()).iter_rows()
    )
    pairs = log.filter(pl.col("arm") != CONTROL).select("inject_lang", "probe_lang").unique()
    read = raw.folder.read("inject_background", runs[:1])
    tokens = dict(read.select("lang", "n_tokens").iter_rows())
    losses = _losses(raw.table("inject_eval_loss", runs))
    rows = []
    for source, target in pairs.sort("inject_lang", "probe_lang").iter_rows():
        known = forms.get(target) or []
        rows.append(
            {
                "inject_lang": source,
                "probe_lang": target,
                "same_script": _script(source) == _script(target)
                if None not in (_script(source), _script(target))
                else None,
                "name_form": known[0] if len(known) == 1 else None,
                "background_tokens_a": _told(tokens, source),
                "background_tokens_b": _told(tokens, target),
                "background_loss_a": losses.get(canonical(source) or source),
                "background_loss_b": losses.get(canonical(target) or target),
            }
        )
    schema = {"inject_lang": pl.String, "probe_lang": pl.String, "same_script": pl.Boolean,
              "name_form": pl.String, "background_tokens_a": pl.Int64,
              "background_tokens_b": pl.Int64, "background_loss_a": pl.Float64,
              "background_loss_b": pl.Float64}  # fmt: skip
    return pl.DataFrame(rows, schema=schema)


def _told(tokens: dict[str, int], lang: str) -> int | None:
    """Tokens of a language in the background; None where some text does not say its language."""
    if not tokens or UNTOLD in tokens or lang == "mixed":
        return None
    return tokens.get(canonical(lang) or lang, 0)


def _script(code: str) -> str | None:
    """ISO code of a language's script; None if unknown, as of `mixed`."""
    try:
        found = language(code).script
    except ConfigError:  # a made-up language, or `mixed`
        return None
    return None if found == "Zzzz" else found


def _losses(read: pl.DataFrame) -> dict[str, float]:
    """Held-out loss of each language at the first reading, before anything is injected."""
    first = read.sort("t").group_by("run_id", "lang", maintain_order=True).agg(
        pl.col("loss").first()
    )  # fmt: skip
    return dict(first.group_by("lang").agg(pl.col("loss").mean()).iter_rows())
