"""Two-hop probes count only where the fact of the background that they rest on was known."""

import polars as pl

from polylore.metrics.injection.bridges import bridge_rows, bridges_of, over_known_bridges

EXPOSURES = pl.DataFrame({"run_id": ["r"], "item_id": ["a"], "exposure": [0], "step": [4]})


def log(*probes):
    """Item, arm, depth, language, and whether it is right at states 0, 4 and 6."""
    return pl.DataFrame(
        [
            {"run_id": "r", "t": t, "probe_id": f"{item}/{lang}/{depth}", "fact_id": f"{item}/f",
             "item_id": item, "arm": arm, "probe_lang": lang, "depth": depth, "greedy_exact": right}
            for item, arm, depth, lang, rights in probes
            for t, right in zip((0, 4, 6), rights, strict=True)
        ]
    )  # fmt: skip


HOPS = [(item, arm, "two_hop_background", lang, (False,) * 3)
        for item, arm in (("a", "once"), ("b", "once"), ("c", "never"))
        for lang in ("en", "de")]  # fmt: skip
ASKED = [
    ("a", "once", "bridge", "en", (False, True, False)),
    ("b", "once", "bridge", "en", (True, False, True)),
    ("c", "never", "bridge", "en", (True, True, False)),
    ("a", "once", "bridge", "de", (True, True, True)),
    ("b", "once", "bridge", "de", (True, True, True)),
]


def test_a_bridge_is_known_if_it_was_right_at_the_last_reading_before_injection():
    whole = log(*HOPS, *ASKED, ("b", "once", "semantic", "en", (True,) * 3))
    bridges = bridges_of(whole, EXPOSURES)
    known = set(bridges.filter("known")["probe_id"])
    hop = "two_hop_background"
    # b in English was right before and after, not at state 4; c in German was never asked.
    assert known == {f"a/en/{hop}", f"c/en/{hop}", f"a/de/{hop}", f"b/de/{hop}"}
    left = over_known_bridges(whole, bridges)
    # No control is left in German, so that nothing there could be corrected.
    assert set(left.filter(depth=hop)["probe_id"]) == {f"a/en/{hop}", f"c/en/{hop}"}
    assert left.filter(pl.col("depth") != hop).equals(whole.filter(pl.col("depth") != hop))
    counted = bridge_rows(bridges).sort("probe_lang", "quantity")
    assert counted.select("probe_lang", "quantity", "value", "n").rows() == [
        ("de", "bridge_known", 2.0, 3), ("de", "bridge_unknown", 1.0, 3),
        ("en", "bridge_known", 2.0, 3), ("en", "bridge_unknown", 1.0, 3),
    ]  # fmt: skip


def test_a_log_without_two_hop_probes_is_left_alone():
    plain = log(("a", "once", "semantic", "en", (True,) * 3))
    bridges = bridges_of(plain, EXPOSURES)
    assert over_known_bridges(plain, bridges).equals(plain)
    assert bridge_rows(bridges).height == 0
