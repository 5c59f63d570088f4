"""Asking a model while it is being trained: the same probes, rows and tables as `trace`."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
import torch

from polylore.errors import ConfigError, ModelError, RunError
from polylore.facts import FactSet
from polylore.models import LanguageModel, wrap
from polylore.models.fingerprint import fingerprint_model, weight_hash
from polylore.models.gaps import find_gaps
from polylore.models.live import check_live, undisturbed, unwrap
from polylore.runs import RunFolder
from polylore.studies.trace.analyse import analyse as analyse_run
from polylore.studies.trace.ask import Desk, pending_parts, unit_name
from polylore.studies.trace.config import (
    AnalyseConfig,
    AskConfig,
    ExecutionConfig,
    FactsConfig,
    TraceConfig,
)
from polylore.studies.trace.equal_answers import note_equal_answers
from polylore.studies.trace.probe_cost import At, Cost, schedule
from polylore.studies.trace.probe_forward import Forward, forwarder, headline
from polylore.studies.trace.probe_series import LiveSeries
from polylore.studies.trace.sheet import Sheets
from polylore.studies.trace.study import (
    make_prompts,
    open_run,
    read_exposure,
    write_inputs,
)

_FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class _Moment:
    """Where training stood when the probe was last told."""

    model: Any
    tokenizer: Any
    step: int
    tokens: int | None


class Probe:
    """Asks a fact set at chosen steps of a training loop, whatever the loop is.

    ```python
    with Probe(facts="cldr", out="runs/probe", at="log:20") as probe:
        probe.step(model, tokenizer, 0)
        for step, batch in enumerate(batches, start=1):
            ...  # one update
            probe.step(model, tokenizer, step, tokens=tokens_read)
    ```

    `step` is told every step and decides itself; `finish`, or the end of the block, asks at the
    last step, analyses all answers and writes the report. The run folder is that of `trace`: its
    units are there as soon as they are made, and its tables are those that `trace` makes from the
    saved checkpoints. Training goes on bit for bit as if it had not been asked (`undisturbed`).

    In polylore's own training, the probe is a hook:

    ```python
    def on_step(step, tokens, model):
        probe.step(model, open_tokenizer(Path("model/tokenizer")), step, tokens)

    train("corpus", "model", config, on_step=[on_step])
    ```

    With several processes (DDP) the first one asks while the others wait in their next exchange.

    Args:
        facts: a fact set, where to load one from, or a `FactsConfig`.
        ask: how facts are asked; the number format is the model's own unless `dtype` is given.
        out: run folder; that of an interrupted training is continued.
        at: steps to ask at: `log:20` (step 0 and twenty log-spaced steps in every factor of ten),
            a list of steps, or a function that says yes or no to a step.
        max_share: most seconds of asking per second of training. A probe that would exceed it is
            put off to the next due step, which is noted; the first probe and that of the last step
            are always made. None sets no limit.
        forward: where recall goes after each probe: `trackio`, `wandb`, `tensorboard`, or a
            function of (values, step, tokens).
        name: name of the checkpoint of a step, as its folder would be called.
        series: name of the series; by default the name of the folder `saved`.
        saved: folder in which training saves its checkpoints, if it does; their paths are noted.
        analyse: how answers become numbers.
        exposure: exposure table, as in `trace`.
        preset: `default` or `paper`, as in `trace`.
        token_budget: tokens per forward pass, as in `trace`.

    Raises:
        ConfigError: a setting that cannot be meant.
        DataError: unreadable facts or exposure.
    """

    def __init__(
        self,
        *,
        out: str | Path,
        facts: FactSet | FactsConfig | str | Path = "cldr",
        ask: AskConfig | None = None,
        at: At = "log:20",
        max_share: float | None = 0.05,
        forward: str | Forward | None = None,
        name: str = "step-{step:06d}",
        series: str | None = None,
        saved: str | Path | None = None,
        analyse: AnalyseConfig | None = None,
        exposure: str | Path | None = None,
        preset: str = "default",
        token_budget: int | None = None,
    ) -> None:
        self.out = Path(out)
        self.series = LiveSeries(name, series, None if saved is None else Path(saved))
        self.token_budget = token_budget
        self.due = schedule(at)
        self.cost = Cost(max_share)
        self.forward = forwarder(forward, self.out)
        if isinstance(facts, FactSet):
            chosen, self.factset = FactsConfig(source=facts.name), facts
        else:
            said = facts if isinstance(facts, FactsConfig) else FactsConfig(source=str(facts))
            chosen, self.factset = said, said.load()
        self.config = TraceConfig.parse(
            {
                "model": "a model in training",
                "exposure": None if exposure is None else str(exposure),
                "preset": preset,
                "facts": chosen,
                "ask": ask or AskConfig(),
                "analyse": analyse or AnalyseConfig(),
            },
            "Probe",
        )
        if self.config.ask.backend != "transformers":
            raise ConfigError(
                "A model in training is asked where it is, so ask.backend must be transformers."
            )
        self.config.analyse.refuse_absent_pivot(self.factset.languages)
        self.config.refuse_nothing(self.factset)
        self.exposure = read_exposure(self.config.exposure)
        self.run: RunFolder | None = None
        self._desk: Desk | None = None
        self._cast: torch.dtype | None = None
        self._lm: LanguageModel | None = None
        self._last: _Moment | None = None
        self._asked: int | None = None
        self._ended = False
        """Whether that step was asked as the last one."""
        self._asks: bool | None = None
        """Whether this process asks; None before the start."""
        self._open = ExitStack()

    def step(
        self,
        model: Any,
        tokenizer: Any,
        step: int,
        tokens: int | None = None,
        *,
        last: bool = False,
    ) -> bool:
        """Tell where training stands; asks the model if that is due.

        Args:
            model: the model in training, also compiled or wrapped for data parallelism.
            tokenizer: its fast tokenizer.
            step: updates done; 0 before the first.
            tokens: training tokens read so far, if known.
            last: this is the last step, which is always asked.

        Returns:
            Whether the model was asked.

        Raises:
            ConfigError: the step is not a step, or lies before the last one told.
            ModelError: a model or tokenizer that cannot be asked.
            RunError: the run folder is another run's, or this step was asked with other weights.
        """
        if not isinstance(step, int) or step < 0 or (tokens is not None and tokens < 0):
            raise ConfigError(f"Probe was told step {step!r} and tokens {tokens!r}; give counts.")
        if self._last is not None and step < self._last.step:
            raise ConfigError(
                f"Probe was told step {step} after step {self._last.step}, but steps only go "
                "forward; make a new Probe for a training that was started again."
            )
        if not self.start(model, tokenizer):
            return False
        self._last = moment = _Moment(unwrap(model), tokenizer, step, tokens)
        done = step == self._asked and (self._ended or not last)
        if done or not (last or self.due(step)):
            return False
        known = self.series.find(self._running, step) is not None
        if not (last or known or self.cost.allows()):
            self.cost.defer(step)
            self._running.annotate("probing", self.cost.plain())
            return False
        return self._visit(moment, last)

    def start(self, model: Any, tokenizer: Any) -> bool:
        """Check everything and open the run folder, once; `step` does so if nobody did.

        Returns:
            Whether this process asks: only the first of several does.
        """
        if self._asks is not None:
            return self._asks
        model = unwrap(model)
        check_live(model, tokenizer)
        if not _first_process():
            self._asks = False
            return False
        self._settle_format(model)
        # Prompts that cannot be built are noticed before anything is written.
        first = {"ckpt_id": self.series.ckpt_id(0), "step": 0, "tokens": 0, "suspect": False}
        self._prompts(pl.DataFrame([first]), last=True)
        run = open_run(self.config, self.factset, self.out)
        self._open.enter_context(run.lock())
        self.run = run
        if "probing" in run.manifest:
            self.cost.resume(run.manifest["probing"])
        self.cost.start()
        self._asks = True
        return True

    def finish(self, *, report: bool = True) -> RunFolder | None:
        """Ask at the last step, analyse everything, write the report, and let go of the folder.

        Returns:
            The run folder; None in processes that do not ask, or if no step was ever told.
        """
        if self.run is None or self._last is None:
            self.close()
            return None
        if self._last.step != self._asked or (self.config.ask.final_variants and not self._ended):
            self._visit(self._last, last=True)
        run = self.run
        self.series.link(run)
        run.write_table("gaps", find_gaps(self.series.rows(run)))
        run.annotate("probing", self.cost.plain())
        note_equal_answers(run, self.config.series.duplicates)
        analyse_run(run, self.config.analyse, self.config.preset)
        if report:
            from polylore.studies.trace.publish import publish

            publish(run)
        self.close()
        return run

    def close(self) -> None:
        """Let go of the run folder and the model without analysing; what was asked is kept."""
        self._open.close()
        self.run = self._desk = self._lm = self._last = self._asked = self._asks = None
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.close()

    # ---------------------------------------------------------------------------------------

    @property
    def _running(self) -> RunFolder:
        if self.run is None:
            raise RunError(f"The probe of {self.out} has not been started.")
        return self.run

    def _visit(self, moment: _Moment, last: bool) -> bool:
        """Ask at one step, unless that is done; what is done must have had these weights."""
        run, model, step = self._running, moment.model, moment.step
        ckpt_id = self.series.ckpt_id(step)
        _wait_for(model)
        begin = time.perf_counter()
        weights = weight_hash(fingerprint_model(model))
        before = self.series.find(run, step)
        langs = self.factset.languages
        pending = pending_parts(run, ckpt_id, langs)
        self._asked, self._ended = step, last
        if before is not None and len(pending) < len(langs) and before["weight_hash"] != weights:
            raise RunError(
                f"Step {step} was asked before with other weights (in {run.path}), so training "
                "went another way since; give it a run folder of its own."
            )
        if last and not pending and self._lacks_final(ckpt_id):
            pending = tuple(langs)
        if before is not None and not pending:
            return False
        # Before the units, so that these belong to its weights whatever happens.
        checkpoints = self.series.add(run, step, moment.tokens, weights)
        desk = self._questions(checkpoints, last)
        with undisturbed(model, self._cast):
            lm = self._wrapped(moment)
            desk.put(lm, ckpt_id, pending, self._execution(lm))
        if self.forward is not None:
            self.forward(headline(run, self.config, ckpt_id), step, moment.tokens)
        self.cost.add(step, begin)
        run.annotate("probing", self.cost.plain())
        return True

    def _prompts(
        self, checkpoints: pl.DataFrame, last: bool
    ) -> tuple[pl.DataFrame, pl.DataFrame | None]:
        ask = self.config.effective_ask()
        if not last:  # the wordings that are kept for the last checkpoint
            ask = ask.model_copy(update={"final_variants": []})
        return make_prompts(self.factset, ask, checkpoints)

    def _questions(self, checkpoints: pl.DataFrame, last: bool) -> Desk:
        """What the newest checkpoint is asked, stored; kept where all are asked the same."""
        if self._desk is None or self._desk.sheets.asked is not None or self._differs(last):
            prompts, asked = self._prompts(checkpoints, last)
            write_inputs(self._running, self._noted(), self.factset, prompts, asked, self.exposure)
            ask = self.config.effective_ask()
            self._desk = Desk(self._running, ask)
            self._desk.sheets = Sheets(self.factset, prompts, asked, ask)
        return self._desk

    def _differs(self, last: bool) -> bool:
        ask = self.config.effective_ask()
        return (ask.demos == "paper" and ask.n_shot > 0) or (last and bool(ask.final_variants))

    def _lacks_final(self, ckpt_id: str) -> bool:
        """Whether a checkpoint was asked when nobody knew that it was the last."""
        wanted = set(self.config.ask.final_variants)
        units = [unit_name(ckpt_id, lang) for lang in self.factset.languages]
        return bool(wanted - set(self._running.read("answers", units)["variant"]))

    def _wrapped(self, moment: _Moment) -> LanguageModel:
        known = self._lm
        if known is None or known.model is not moment.model:
            self._lm = known = wrap(moment.model, moment.tokenizer, type(moment.model).__name__)
        return known

    def _execution(self, lm: LanguageModel) -> ExecutionConfig:
        return ExecutionConfig(device=str(lm.device), token_budget=self.token_budget)

    def _settle_format(self, model: Any) -> None:
        """Ask in the model's own number format unless another was said."""
        own, ask = str(model.dtype).removeprefix("torch."), self.config.ask
        if "dtype" in ask.model_fields_set:
            self._cast = None if ask.dtype == own else _FORMATS[ask.dtype]
            return
        if own not in _FORMATS:
            raise ModelError(
                f"{type(model).__name__} is in {own}, in which polylore does not ask; give "
                "AskConfig(dtype=...) one of " + ", ".join(_FORMATS) + "."
            )
        settled = ask.model_copy(update={"dtype": own})
        self.config = self.config.model_copy(update={"ask": settled})

    def _noted(self) -> TraceConfig:
        saved = self.series.saved
        where = self.series.model if saved is None else str(saved)
        return self.config.model_copy(update={"model": where})


def _first_process() -> bool:
    distributed = torch.distributed
    started = distributed.is_available() and distributed.is_initialized()
    return not started or distributed.get_rank() == 0


def _wait_for(model: Any) -> None:
    """Let an accelerator finish its queue, so that its work is booked where it belongs."""
    device = next(model.parameters()).device
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
