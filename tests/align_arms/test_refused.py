"""What `align run` refuses before anything is trained (`align`, 4.7)."""

from typing import Any

import pytest

from polylore.errors import ConfigError
from polylore.studies.align.arms.material import gather


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"eval": {"langs": ["xx"]}}, "eval.langs has xx, .* the sets have qaa, qab, qac"),
        ({"eval": {"langs": ["qaa", "zzz"]}}, "eval.langs has zzz, in which"),
        ({"eval": {"langs": ["qab", "qac"]}}, "The pivot 'qaa' is none of .* one of qab, qac"),
        ({"pivot": "en"}, "The pivot 'en' is none of .* one of qaa, qab, qac"),
    ],
)
def test_languages_that_cannot_be_asked(small, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        gather(small(**changes))


def test_some_languages_can_be_asked(small) -> None:
    material = gather(small(eval={"langs": ["qaa", "qac"]}))
    assert material.prompts is not None
    assert set(material.prompts["lang"]) == {"qaa", "qac"}
