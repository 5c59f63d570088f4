"""`Probe` as a callback of the Hugging Face `Trainer`."""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from polylore.errors import ConfigError
from polylore.studies.trace.probe import Probe


class ProbeCallback(TrainerCallback):  # type: ignore[misc]
    """Asks a fact set at chosen steps of a `transformers.Trainer` run.

    ```python
    callback = ProbeCallback(facts="cldr", out="runs/probe", at="log:20")
    Trainer(model=model, processing_class=tokenizer, callbacks=[callback], ...).train()
    ```

    Checkpoints are called as the Trainer calls its folders (`checkpoint-<step>`), so the tables are
    those of `polylore trace` on its output folder. Tokens are there if the Trainer counts them
    (`include_num_input_tokens_seen`). At the end of training the run is analysed and reported.

    Args:
        out: run folder; that of an interrupted training is continued.
        tokenizer: the model's fast tokenizer; the Trainer's `processing_class` if not given.
        report: also write the report when training ends.
        options: as for `Probe`.
    """

    def __init__(
        self, *, out: str | Path, tokenizer: Any = None, report: bool = True, **options: Any
    ) -> None:
        self.probe = Probe(out=out, **{"name": "checkpoint-{step}"} | options)
        self.tokenizer, self.report = tokenizer, report

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        processing_class: Any = None,
        **others: Any,
    ) -> None:
        """Open the run folder; ask at step 0 if that is due."""
        self.probe.close()  # of a training that was broken off in this process
        if self.probe.series.saved is None:
            self.probe.series.saved = Path(args.output_dir)
        tokenizer = self._tokenizer(processing_class)
        if state.global_step == 0:
            self.probe.step(model, tokenizer, 0, 0)
        else:
            self.probe.start(model, tokenizer)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        processing_class: Any = None,
        **others: Any,
    ) -> None:
        """Ask if the step is due or the last."""
        last = state.global_step >= state.max_steps
        self._tell(args, state, model, processing_class, last=last)

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        processing_class: Any = None,
        **others: Any,
    ) -> None:
        """Ask if training was stopped early: afterwards the Trainer may load other weights."""
        if control.should_training_stop and state.global_step:
            self._tell(args, state, model, processing_class, last=True)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Analyse and report."""
        self.probe.finish(report=self.report)

    def _tell(
        self, args: TrainingArguments, state: TrainerState, model: Any, given: Any, *, last: bool
    ) -> None:
        counted = str(args.include_num_input_tokens_seen) not in ("no", "False")
        tokens = int(state.num_input_tokens_seen) if counted else None
        self.probe.step(model, self._tokenizer(given), state.global_step, tokens, last=last)

    def _tokenizer(self, given: Any) -> Any:
        tokenizer = self.tokenizer if self.tokenizer is not None else given
        if tokenizer is None:
            raise ConfigError(
                "The Trainer has no processing_class; give ProbeCallback(tokenizer=...)."
            )
        return getattr(tokenizer, "tokenizer", tokenizer)  # a processor holds one
