"""The report of a trace: which parts it has, put together from the tables of the run folder."""

from polylore.report import Page, Report
from polylore.runs import RunFolder
from polylore.studies.trace.config import AnalyseConfig
from polylore.studies.trace.context import Context, quantity
from polylore.studies.trace.findings import findings
from polylore.studies.trace.sections.acquisition import acquisition_page
from polylore.studies.trace.sections.concepts import concepts_page
from polylore.studies.trace.sections.consistency import consistency_page
from polylore.studies.trace.sections.data import data_page
from polylore.studies.trace.sections.exposure import exposure_page
from polylore.studies.trace.sections.facts import facts_page
from polylore.studies.trace.sections.method import method_page
from polylore.studies.trace.sections.overview import overview
from polylore.studies.trace.sections.pathways import pathways_page
from polylore.studies.trace.sections.recall import recall_page
from polylore.studies.trace.sections.referee import referee_page
from polylore.studies.trace.sections.similarity import similarity_page

_PARTS = (
    overview,
    recall_page,
    exposure_page,
    consistency_page,
    acquisition_page,
    pathways_page,
    referee_page,
    similarity_page,
    concepts_page,
    facts_page,
    data_page,
    method_page,
)


def build_report(run: RunFolder, analyse: AnalyseConfig | None = None) -> Report:
    """The report of a finished trace.

    Args:
        run: run folder with its tables; parts whose tables are absent are left out.
        analyse: the analysis settings the tables were made with; the run's own if not given.
    """
    context = Context(run, analyse or _analysis(run))
    pages: list[Page] = [page for part in _PARTS if (page := part(context)) is not None]
    return Report(
        title=f"Trace of {_model(context)}",
        subtitle="Which facts does each checkpoint recall, in which languages, since when, and how "
        "far does what it read explain it?",
        glance=_glance(context),
        findings=findings(context),
        pages=tuple(pages),
        provenance=_provenance(context),
    )


def _analysis(run: RunFolder) -> AnalyseConfig:
    noted = run.manifest.get("analysis", {})
    return AnalyseConfig.parse(noted.get("analyse", {}), f"{run.path}/manifest.json")


def _model(context: Context) -> str:
    checkpoints = context.table("checkpoints")
    return str(checkpoints["model"][0]) if checkpoints is not None else context.run.path.name


def _glance(context: Context) -> tuple[tuple[str, str], ...]:
    items = []
    facts = context.table("facts")
    if facts is not None:
        items.append((f"{facts['fact_id'].n_unique():,}", "facts"))
        items.append((str(facts["relation"].n_unique()), "relations"))
    if context.languages:
        items.append((str(len(context.languages)), "languages"))
    if context.checkpoints.height:
        items.append((str(context.checkpoints.height), "checkpoints"))
        tokens = context.checkpoints["tokens"].max()
        if isinstance(tokens, int):
            items.append((quantity(tokens), "training tokens"))
    grades = context.table("grades")
    if grades is not None:
        asked = grades.select("ckpt_id", "fact_id", "lang", "variant").n_unique()
        items.append((quantity(asked), "questions asked"))
    return tuple(items)


def _provenance(context: Context) -> dict[str, str]:
    manifest = context.run.manifest
    analyse = context.analyse
    found = {
        "Run folder": context.run.path.name,
        "Written": str(manifest.get("created", "unknown")),
        "Command": " ".join(str(word) for word in manifest.get("command", [])),
        "Preset": context.preset,
        "Configuration digest": str(manifest.get("config_digest", "unknown")),
    }
    for part, values in manifest.get("config", {}).items():
        if isinstance(values, dict):
            found[f"Settings: {part}"] = _settings(values)
    found["Settings: analyse"] = _settings(analyse.plain())
    for name, digest in manifest.get("inputs", {}).items():
        found[f"Input: {name}"] = str(digest)
    found["Versions"] = _settings(manifest.get("versions", {}))
    git = manifest.get("git") or {}
    if git.get("commit"):
        state = "" if git.get("clean") else ", with uncommitted changes"
        found["Source"] = f"commit {git['commit']}{state}"
    checkpoints = context.table("checkpoints")
    if checkpoints is not None:
        hashes = checkpoints.drop_nulls("weight_hash")
        found["Checkpoint weights"] = ", ".join(
            f"{c}: {h[:12]}" for c, h in hashes.select("ckpt_id", "weight_hash").iter_rows()
        ) or "no fingerprints"  # fmt: skip
    found["How to redo"] = (
        "Run the command above again with the same inputs: finished work is kept. “polylore "
        "report” on the run folder analyses its raw tables again without a model."
    )
    return {name: value for name, value in found.items() if value}


def _settings(values: dict[str, object]) -> str:
    return "; ".join(
        f"{name} = {'not set' if value is None else value}" for name, value in values.items()
    )
