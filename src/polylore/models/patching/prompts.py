"""What is patched and what is read: a prompt, the tokens that are overwritten, and what may follow.

What may follow a prompt is kept as a tree of tokens behind the patched ones: first the rest of the
prompt, then the forms to be scored, which part where they differ. A *place* is a node of the tree
whose next-token distribution is read; a *query* asks there for the probability of a set of tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from polylore.errors import DataError

PATCHED = -1
"""The last patched token itself, as a node of the tree; what follows it has numbers from 0 on."""


@dataclass(frozen=True)
class Form:
    """One spelling of an answer, in the tokens that follow the prompt."""

    ids: tuple[int, ...]
    """Tokens behind the longest beginning that prompt and prompt + form + quote share."""
    after: int
    """Index of the last token of that beginning; smaller than that of the prompt's last token
    where the opening quote merged with the form (`boundary_merge`)."""


@dataclass(frozen=True)
class Query:
    """The probability of any of some tokens, right after a node of the tree."""

    node: int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class PatchPrompt:
    """A prompt, which of its tokens are overwritten, and what is asked of it.

    `first` to `last` are the overwritten tokens: of the object its last sub-token (``first =
    last = o``), or all of them, or the last token of the prompt.
    """

    ids: tuple[int, ...]
    first: int
    last: int
    sets: tuple[tuple[int, ...], ...] = ()
    """Sets of tokens whose probability right after the prompt is asked for (`p_first`)."""
    forms: tuple[Form, ...] = ()
    """Forms whose probability, closing quote included, is asked for (`logp_full`)."""
    ends: tuple[int, ...] = ()
    """Tokens that begin with a closing quote; needed where there are forms."""

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last < len(self.ids):
            raise DataError(
                f"Tokens {self.first} to {self.last} cannot be patched in a prompt of "
                f"{len(self.ids)} tokens."
            )
        if self.forms and not self.ends:
            raise DataError("Forms cannot be scored without tokens that end them (ends).")
        for form in self.forms:
            if not form.ids or not self.last <= form.after < len(self.ids):
                raise DataError(
                    f"A form of {len(form.ids)} tokens after token {form.after} does not follow "
                    f"the patched token {self.last} of a prompt of {len(self.ids)} tokens."
                )
        if not all(self.sets):
            raise DataError("A set of first tokens is empty.")

    @property
    def patched(self) -> int:
        """Number of overwritten tokens, M."""
        return self.last - self.first + 1

    @property
    def suffix(self) -> int:
        """Number of prompt tokens behind them, S."""
        return len(self.ids) - 1 - self.last

    @cached_property
    def tree(self) -> "Tree":
        """What follows the patched tokens."""
        return Tree(self)

    @property
    def longest(self) -> int:
        """Tokens of the prompt with its longest form."""
        return max((f.after + 1 + len(f.ids) for f in self.forms), default=len(self.ids))


class Tree:
    """The tokens behind the patched ones, and what is asked where."""

    def __init__(self, prompt: PatchPrompt) -> None:
        behind = prompt.ids[prompt.last + 1 :]
        self.ids: list[int] = list(behind)
        self.parents: list[int] = [node - 1 for node in range(len(behind))]
        self.end: int = len(behind) - 1
        """The prompt's last token, e; PATCHED where nothing follows the patched tokens."""
        self.set_queries = [Query(self.end, ids) for ids in prompt.sets]
        self.form_queries = [self._grow(prompt, form) for form in prompt.forms]
        asked = {q.node for qs in [self.set_queries, *self.form_queries] for q in qs}
        self.places: list[int] = sorted(asked | {self.end})
        """Nodes whose next-token distribution is read; that of the prompt's last token always."""

    def _grow(self, prompt: PatchPrompt, form: Form) -> list[Query]:
        """Add a form's tokens where they are not there yet."""
        known = {(p, t): k for k, (p, t) in enumerate(zip(self.parents, self.ids, strict=True))}
        node, queries = form.after - prompt.last - 1, []
        for token in form.ids:
            queries.append(Query(node, (token,)))
            if (node, token) not in known:
                known[node, token] = len(self.ids)
                self.ids.append(token)
                self.parents.append(node)
            node = known[node, token]
        return [*queries, Query(node, prompt.ends)]

    def path(self, node: int) -> list[int]:
        """The nodes from the first behind the patched tokens to this one."""
        found: list[int] = []
        while node != PATCHED:
            found.append(node)
            node = self.parents[node]
        return found[::-1]

    def paths(self) -> list[list[int]]:
        """The fewest paths that pass every place."""
        reached = [self.path(node) for node in self.places]
        # A path that is the beginning of a longer one is passed by it.
        inner = [p for p in reached for q in reached if len(q) > len(p) and q[: len(p)] == p]
        return [path for path in reached if path not in inner]


def check_prompts(prompts: Sequence[PatchPrompt], vocabulary: int, context: int) -> None:
    """Refuse what a model cannot read, before it is asked.

    Raises:
        DataError: a token the model does not have, or a prompt longer than its positions.
    """
    for prompt in prompts:
        largest = max([*prompt.ids, *prompt.tree.ids])
        if largest >= vocabulary:
            raise DataError(
                f"A prompt has the token {largest}, but the model only has {vocabulary} "
                "embeddings; plan again with the model's own tokenizer."
            )
        if prompt.longest > context:
            raise DataError(
                f"A prompt with its forms has {prompt.longest} tokens, but the model reads at most "
                f"{context}; use fewer shots."
            )
