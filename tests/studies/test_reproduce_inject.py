"""Published and default numbers of a probe log (specification of `inject`, 9.3, 9.4, 9.6)."""

import json
import time

import numpy as np
import pytest
from click.testing import CliRunner

from polylore.cli.reproduce import reproduce
from polylore.errors import DataError
from polylore.studies.reproduce_inject import reproduce_inject, reproduce_published_logs

DEFAULT = {
    "paraphrase/mem": (0.3912613473, 0.9964934328, 0.9426748199, 0.8902638035, 0.2202, 0.3904),
    "paraphrase/gen": (0.2797956629, 0.9967676158, 0.9465821906, 0.9084709885, 0.2027, 0.2750),
    "paraphrase/gen_hard": (0.0850473430, 0.9939021129, 0.9747681096, 0.9542522055, 0.1145, 0.0836),
    "duplication/mem": (0.3797596941, 0.9935783208, 0.9479887974, 0.8935449021, 0.2202, 0.3794),
    "duplication/gen": (0.2545447861, 0.9943145286, 0.9520653077, 0.9112936566, 0.2048, 0.2490),
    "duplication/gen_hard": (
        0.0899398118,
        1.0104954978,
        0.9905921391,
        0.9693031316,
        0.1145,
        0.0878,
    ),
    "once/mem": (0.3714573844, 0.9444061718, 0.7756337594, 0.6102274980, 0.2170, 0.3667),
    "once/gen": (0.2792493061, 0.9757063656, 0.8041347362, 0.6337393313, 0.1977, 0.2704),
    "once/gen_hard": (0.0903200924, 0.9736778300, 0.8280965225, 0.7049984257, 0.1233, 0.0879),
}
"""E_cf, R_c(1), R_c(10), R_c(59), a_kernel, true gain."""
TRUE_A = {"mem": 0.22, "gen": 0.20, "gen_hard": 0.12}
UNTRIMMED = {
    "paraphrase": (0.418829, 0.309264, 0.139667),
    "duplication": (0.407165, 0.284952, 0.144138),
    "once": (0.395472, 0.303720, 0.144705),
}
KEPT = {
    "paraphrase": (1973, 1931, 1993),
    "duplication": (1956, 1907, 1955),
    "once": (193, 196, 200),
}
R2 = {
    "paraphrase": (0.9646, 0.9642, 0.5782),
    "duplication": (0.9635, 0.9399, 0.4943),
    "once": (0.9809, 0.9642, 0.3752),
}


@pytest.fixture(scope="module")
def folder(published):
    return published / "fictional_knowledge"


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("inject") / "out.json"
    result = reproduce_inject(folder / "probe_log.npz", out)
    assert json.loads(out.read_text(encoding="utf-8")) == json.loads(json.dumps(result))
    return result


def test_every_golden_number(made, folder):
    golden = json.loads((folder / "probe_log_golden.json").read_text(encoding="utf-8"))
    assert set(golden) == {"iqr_2.0", "iqr_1.5"}
    n = 0
    for preset, cells in golden.items():
        assert set(cells) == set(made[preset])
        for cell, expected in cells.items():
            found = made[preset][cell]
            assert set(found) == set(expected)
            for name, value in expected.items():
                assert found[name] == pytest.approx(value, rel=1e-9), (preset, cell, name)
                n += np.size(value)
    assert n == 18 * 63


def test_what_stands_beside_the_golden_numbers(made):
    lines = made["lines"]["iqr_2.0"]
    for at, depth in enumerate(("mem", "gen", "gen_hard")):
        for arm in KEPT:
            found = lines[f"{arm}/{depth}"]
            assert found["kept"] == KEPT[arm][at]
            assert found["untrimmed"] == pytest.approx(UNTRIMMED[arm][at], abs=1e-6)
            assert found["r2"] == pytest.approx(R2[arm][at], abs=1e-4)
            assert found["horizon"] == 59
    controls = {"mem": 0.0660361671, "gen": 0.0651391103, "gen_hard": 0.0674300141}
    for depth, expected in controls.items():
        assert made["controls"][depth]["iqr_2.0"] == pytest.approx(expected, abs=1e-9)
    ours = {"mem": -0.0013111184, "gen": -0.0006586893, "gen_hard": 0.0027054048}
    for depth, expected in ours.items():
        assert made["controls"][depth]["default"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("cell", DEFAULT)
def test_default_form(made, cell):
    effect, r1, r10, r59, a, true_gain = DEFAULT[cell]
    found = made["default"][cell]
    assert found["effectivity"] == pytest.approx(effect, abs=1e-8)
    left = found["retention"]
    assert (left[1], left[10], left[59]) == pytest.approx((r1, r10, r59), abs=1e-8)
    assert found["a_kernel"] == pytest.approx(a, abs=1e-3)
    assert abs(found["effectivity"] - true_gain) < 0.01
    assert abs(found["a_kernel"] - TRUE_A[cell.partition("/")[2]]) < 0.01
    if cell.startswith("once"):
        assert found["a_by_exposure"] == found["a_kernel"]
    else:
        assert abs(found["a_by_exposure"] - TRUE_A[cell.partition("/")[2]]) < 0.001
    assert (found["r"], found["p"]) == (0.7, 9 if cell == "once/gen_hard" else 8)


def test_decay_depends_on_the_schedule_in_the_published_form_alone(made):
    for depth in TRUE_A:
        published = [
            made["iqr_2.0"][f"{arm}/{depth}"]["decay_constant"] for arm in ("once", "duplication")
        ]
        default = [made["default"][f"{arm}/{depth}"]["a_kernel"] for arm in ("once", "duplication")]
        assert 2.3 < published[0] / published[1] < 3.2
        assert default[0] == pytest.approx(default[1], abs=0.01)


def test_logs_in_the_published_format_give_the_same_numbers(made, folder, tmp_path):
    with np.load(folder / "probe_log.npz") as file:
        arrays = {name: file[name] for name in file.files}
    depths = {"mem": "mem", "gen": "gen", "gen_hard": "gen_hard"}
    logs = tmp_path / "logs"
    logs.mkdir()
    with (logs / "stage.json").open("w", encoding="utf-8") as stream:
        for t in range(1010):
            state = {"step": 40_000 + t} | {
                f"{d}_target": arrays[a][:, :, t].tolist() for d, a in depths.items()
            }
            stream.write(("[" if t == 0 else ", ") + json.dumps(state))
        stream.write("]")
    out = tmp_path / "out.json"
    done = CliRunner().invoke(
        reproduce, ["inject", "--published-logs", str(logs), "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    (line,) = [one for one in done.output.splitlines() if one.startswith("duplication  mem ")]
    assert line.split() == ["duplication", "mem", "stage", "0.06096", "0.06053", "0.2202", "0.2196"]
    for label in ("kernel, one gain for all exposures", "kernel, a gain for each exposure"):
        assert label in done.output
    written = json.loads(out.read_text(encoding="utf-8"))
    assert list(written["stages"]) == ["stage"]
    assert written["stages"]["stage"] == json.loads(json.dumps(made))
    assert len(written["table"]) == 6
    row = written["table"][0]
    assert row["scenario"] == "duplication"
    assert row["iqr_2.0"] == pytest.approx(0.0605253157, abs=1e-9)


def test_an_x_intercept_is_null_where_the_line_does_not_fall(tmp_path):
    """Losses that fall from the last injection on, so that what was gained keeps growing."""
    noise = np.random.default_rng(0).normal(0, 1e-3, (130, 5, 953))
    loss = 5 + noise - 0.1 * np.log10(np.maximum(np.arange(953), 1))
    loss[..., 901:] -= np.linspace(0.5, 1.0, 52)
    np.savez(tmp_path / "log.npz", mem=loss, gen=loss, gen_hard=loss)
    reproduce_inject(tmp_path / "log.npz", tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    found = written["iqr_2.0"]["duplication/mem"]
    assert found["decay_constant"] < 0
    assert found["x_intercept_log10"] is None
    assert written["lines"]["iqr_2.0"]["duplication/mem"]["horizon"] == 2


def test_fast_enough_for_many_logs(folder, tmp_path):
    start = time.process_time()
    reproduce_inject(folder / "probe_log.npz", tmp_path / "out.json")
    # Bound by far on any machine: a loop over probes takes a minute.
    assert time.process_time() - start < 20


def write_states(path, states):
    path.mkdir()
    (path / "log.json").write_text(json.dumps(states), encoding="utf-8")
    return path


def state(step, **changes):
    zeros = [[0.0] * 5] * 130
    return {"step": step, "mem_target": zeros, "gen_target": zeros, "gen_hard_target": zeros} | (
        changes
    )


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ([], "lacks the array mem"),
        ([state(0), state(1)], "at least 953; it has 2"),
        ([state(0), state(2)], "it lacks 1"),
        ([state(1), state(0)], "in order"),
        ([state(0, mem_target=[[0.0]])], "state 0: mem_target must be 130 x 5"),
        ([state(0, gen_target=[["x"] * 5] * 130)], "state 0 has no numbers gen_target"),
        ([{"mem_target": []}], "state 0 must be an object with a whole number"),
        ({"step": 0}, "must be a JSON list"),
    ],
)
def test_bad_published_logs(tmp_path, states, message):
    with pytest.raises(DataError, match=message):
        reproduce_published_logs(write_states(tmp_path / "logs", states), tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_bad_arrays(tmp_path):
    out = tmp_path / "out.json"
    with pytest.raises(DataError, match="no file"):
        reproduce_inject(tmp_path / "absent.npz", out)
    (tmp_path / "text.npz").write_text("text", encoding="utf-8")
    with pytest.raises(DataError, match="not a readable"):
        reproduce_inject(tmp_path / "text.npz", out)
    np.savez(tmp_path / "short.npz", mem=np.zeros((130, 5, 10)))
    with pytest.raises(DataError, match="lacks the array gen"):
        reproduce_inject(tmp_path / "short.npz", out)
    with pytest.raises(DataError, match="no per-step log"):
        reproduce_published_logs(tmp_path / "nowhere", out)
    assert not out.exists()


def test_one_of_two_sources(tmp_path):
    done = CliRunner().invoke(reproduce, ["inject", "--out", str(tmp_path / "x.json")])
    assert done.exit_code != 0
