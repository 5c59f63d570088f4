"""A token of a tree row sees its ancestors, and through a window only the near ones."""

from collections.abc import Callable

import pytest
import torch
from zoo import WINDOW

from polylore.errors import ModelError
from polylore.models import LanguageModel
from polylore.models.forward import collate
from polylore.models.masks import tree_masks, windows
from polylore.models.packing import Trie
from polylore.models.spans import Encoded

Make = Callable[..., LanguageModel]


def strings(longest: int) -> list[Encoded]:
    """Three strings with a common beginning; the longest has so many inputs."""
    beginning = [5, 6, 7, 8]
    rest = list(range(10, 10 + longest - 4))
    texts = [[*beginning, *rest, 3], [*beginning, *rest[:2], 9, 3], [*beginning, 9, 3]]
    return [Encoded(ids, len(ids) - 1, len(ids)) for ids in texts]


def seen(mask: torch.Tensor) -> list[set[int]]:
    """Indices that each token of the first row sees."""
    return [set(torch.nonzero(row == 0).flatten().tolist()) for row in mask[0, 0]]


@pytest.mark.parametrize("longest", [WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + 2, 2 * WINDOW])
def test_each_token_sees_its_own_string_through_the_window(make_model: Make, longest: int) -> None:
    model = make_model("gemma3-mixed").model
    made = strings(longest)
    (row,) = Trie(made, [0, 0, 0]).rows(1000)
    batch = collate([row], torch.device("cpu"))
    masks = tree_masks(model, batch.ends_BS, batch.depths_BS)
    if longest <= WINDOW:
        assert isinstance(masks, torch.Tensor)  # one for all layers
        masks = dict.fromkeys(("full_attention", "sliding_attention"), masks)
    assert isinstance(masks, dict)
    assert sorted(masks) == ["full_attention", "sliding_attention"]
    inputs = {tuple(s.ids[:depth]) for s in made for depth in range(1, len(s.ids))}
    for kind, width in (("full_attention", 10**6), ("sliding_attention", WINDOW)):
        found = set()
        for node, others in enumerate(seen(masks[kind])):
            # Those it may see are the end of its own string, itself included, and nothing else.
            path = sorted(k for k in range(node + 1) if node < row.ends[k])
            assert sorted(others) == path[-width:]
            found.add(tuple(row.ids[path].tolist()))
        assert found == inputs


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("llama", {"full_attention": None}),
        ("mistral", {"sliding_attention": WINDOW}),
        ("phi3", {"sliding_attention": WINDOW}),
        ("qwen2-window", {"full_attention": None, "sliding_attention": WINDOW}),
        ("gemma3", {"sliding_attention": WINDOW}),
    ],
)
def test_windows_by_architecture(
    make_model: Make, kind: str, expected: dict[str, int | None]
) -> None:
    assert windows(make_model(kind).model) == expected


def test_layers_that_no_mask_describes_are_refused(make_model: Make) -> None:
    with pytest.raises(ModelError, match="Lfm2ForCausalLM has layers of conv"):
        windows(make_model("lfm2").model)
