"""The published plan as a study: items, doses and readings, without a model."""

from pathlib import Path

import yaml
from tokenizers import Tokenizer

from polylore.corpus.injection import RowFormat, passage_tokens
from polylore.studies.built_in import INJECT_STUDIES
from polylore.studies.inject.conditions import runs_of
from polylore.studies.inject.config import InjectConfig
from polylore.studies.inject.design import make_design
from polylore.studies.inject.items import load_items


def test_the_built_in_study_is_the_published_plan(published: Path) -> None:
    folder = published / "fictional_knowledge"
    values = yaml.safe_load(Path(INJECT_STUDIES.file("paper")).read_text("utf-8"))
    values |= {"model": "m", "items": {"source": f"published:{folder}"}}
    config = InjectConfig.parse(values)
    items = load_items(config)
    tokenizer = Tokenizer.from_file(str(folder / "gpt_neox_tokenizer.json"))

    def encode(texts: list[str]) -> list[list[int]]:
        return [one.ids for one in tokenizer.encode_batch(texts, add_special_tokens=False)]

    tokens = passage_tokens(items.fiction.passages, encode)
    [spec] = runs_of(config)
    design = make_design(spec, items, tokens, RowFormat(2048, 50279))
    assert design.plan.height == 840
    assert design.injector.dose["injected_tokens"].sum() == 358_564
    assert design.injector.dose["injected_tokens"].to_list()[:3] == [59_374, 33_066, 33_612]
    assert design.updates == 2500
    assert design.readings.states == tuple(range(2501))
    assert design.readings.extras == set()
    assert dict(design.arms.group_by("arm").len().iter_rows()) == {
        "paraphrase": 40,
        "duplication": 40,
        "once": 40,
        "never": 10,
    }
    assert design.exposure["step_lo"].unique().sort().to_list() == [*range(1, 1000, 100)]
