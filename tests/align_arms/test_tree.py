"""Arms as a tree of trainings (`align`, 4.3)."""

import pytest

from polylore.errors import ConfigError
from polylore.studies.align.arms.config import ArmsConfig
from polylore.studies.align.arms.tree import ancestors, grow


def names(small, *arms, **changes) -> list[str]:
    config = small(arms=list(arms), **changes)
    return [node.name for node in grow(config, "qaa", ["qab", "qac"])]


CPT = {"name": "cpt", "kind": "cpt", "lang": "qab"}
INJ = {"name": "inj", "kind": "inject"}


def test_none_and_base_mix_are_added(small) -> None:
    assert names(small, CPT) == ["none", "base_mix", "cpt"]
    assert names(small, {"name": "base_mix"}, {"name": "none"}) == ["base_mix", "none"]


def test_stages_go_on_from_each_other_and_are_trained_once(small) -> None:
    seq = {"name": "s", "kind": "seq", "stages": ["cpt", "inj", "cpt"]}
    config = small(arms=[CPT, INJ, seq])
    nodes = grow(config, "qaa", ["qab", "qac"])
    assert [node.name for node in nodes] == [
        "none", "base_mix", "cpt", "inj/qab", "inj/qac", "cpt>inj/qab", "cpt>inj/qac",
        "cpt>inj/qab>cpt", "cpt>inj/qac>cpt",
    ]  # fmt: skip
    last = nodes[-1]
    assert [one.name for one in ancestors(last, nodes)] == ["cpt>inj/qac", "cpt"]
    assert len({node.folder(0) for node in nodes}) == len(nodes)


def test_one_run_for_all_targets(small) -> None:
    assert names(small, {**INJ, "design": "row"})[-1] == "inj"


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"name": "s", "kind": "seq", "stages": ["nothing"]}, "'nothing' is not an arm"),
        ({"name": "s", "kind": "seq", "stages": ["none"]}, "'none' is not an arm"),
        ({**INJ, "targets": ["qzz"]}, "target 'qzz'"),
        ({**INJ, "source": "qzz"}, "source is 'qaa'"),
    ],
)
def test_what_cannot_be_trained_is_refused(small, arm, message) -> None:
    with pytest.raises(ConfigError, match=message):
        names(small, CPT, arm)


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"name": "x", "kind": "cpt"}, "cpt needs lang"),
        ({"name": "x", "kind": "cpt", "lang": ["a", "b"]}, "mix has several"),
        ({"name": "x"}, "give its kind"),
        ({"name": "x", "kind": "mix", "ratio": {"qaa": 0}}, "above 0"),
        ({"name": "a/b", "kind": "itune", "lang": "qaa"}, "name"),
    ],
)
def test_arms_that_say_too_little_are_refused(arm, message) -> None:
    with pytest.raises(ConfigError, match=message):
        ArmsConfig.parse({"start": {"path": "x"}, "arms": [arm]})
