"""Lines about sham and background-only runs, from readings whose drift is known."""

import polars as pl
from acceptance.inject.control_runs import control_run_lines

UP = {"main": (1.0, 0.3), "sham": (0.2, 0.2), "background": (0.1, 0.1)}
"""How far told and never-told items move."""


class Readings:
    """What a run folder gives."""

    def table(self, name):
        return pl.DataFrame({"run_id": list(UP), "role": list(UP)})

    def read(self, name, runs):
        (run,) = runs
        items = [f"i{k:02d}" for k in range(17)]
        if name == "inject_arms":
            return pl.DataFrame({"item_id": items, "arm": ["once"] * 10 + ["never"] * 7})
        if name == "inject_eval_loss":
            ends = {"main": 2.25, "sham": 2.125, "background": 2.0}
            return pl.DataFrame(
                {"run_id": run, "lang": "qaa", "t": [9, 0], "loss": [ends[run], 2.0]}
            )
        rows = [
            {"run_id": run, "item_id": item, "depth": "memorization", "probe_lang": "qaa",
             "probe_id": item, "t": t, "mean_logprob": -5 + UP[run][k >= 10] * t / 9}
            for k, item in enumerate(items) for t in (0, 9)
        ]  # fmt: skip
        return pl.DataFrame(rows)


def test_drift_and_loss_of_each_kind_of_run():
    text = "\n".join(control_run_lines(Readings()))
    assert "| told in the main runs | memorization | qaa | 1.00 [1.00, 1.00] | 0.20" in text
    # Of seven there is a mean, and no interval.
    assert "| never told | memorization | qaa | 0.30 | 0.20 | 0.10 |" in text
    assert "| qaa | 2.000 | 2.250 | 2.125 | 2.000 |" in text
    assert "move by +0.30 beside" in text
    assert "by +0.250, those of the sham run by +0.125." in text
