"""Arms as a tree of trainings: stages of a sequence go on from each other, and are trained once."""

from collections.abc import Sequence
from dataclasses import dataclass

from polylore.errors import ConfigError
from polylore.studies.align.arms.config import BASE_MIX, NONE, START, ArmConfig, ArmsConfig


@dataclass(frozen=True)
class Node:
    """One training of one arm, whatever the seed; without an arm the start model's own."""

    name: str
    """Names of its stages, joined by >; an injection's target stands behind a slash."""
    arm: ArmConfig | None
    parent: str
    """Node that it goes on from; START for the start model."""
    source: str | None = None
    targets: tuple[str, ...] = ()
    """Of an injection."""

    @property
    def kind(self) -> str:
        """What it does."""
        return START if self.arm is None else self.arm.what

    @property
    def target(self) -> str | None:
        """The one language it is for."""
        if self.arm is None:
            return None
        if len(self.targets) == 1:
            return self.targets[0]
        if self.arm.what == "cpt" and self.arm.lang:
            return self.arm.lang[0]
        return self.arm.target

    def run_id(self, seed: int) -> str:
        """Identity of its training with a seed."""
        return f"{self.name}/seed{seed}"

    def folder(self, seed: int) -> str:
        """Its folder among the trainings."""
        return folder_of(self.name, seed)


def folder_of(name: str, seed: int) -> str:
    """Folder of a node by its name."""
    return f"{name.replace('>', '+').replace('/', '@')}/seed-{seed}"


def name_without_target(name: str, targets: Sequence[str]) -> str:
    """Name of an arm in tables of conductivity, which name its target themselves."""
    return name.removesuffix(f"/{targets[0]}") if len(targets) == 1 else name


def grow(
    config: ArmsConfig, source: str | None, targets: Sequence[str], *, texts: bool = True
) -> list[Node]:
    """All trainings, every one behind the one that it goes on from; none and base_mix included.

    Args:
        config: the arms.
        source: source language of the invented worlds, if there are any.
        targets: their target languages.
        texts: whether there is text of the start model's mixture, which base_mix needs.

    Raises:
        ConfigError: a stage that is no arm or a sequence itself, or an injection into a language
            that the worlds do not have.
    """
    arms = _complete(config, texts)
    found: dict[str, Node] = {}
    for arm in arms.values():
        if arm.what != "seq":
            for node in _branches(arm, START, source, targets):
                found.setdefault(node.name, node)
            continue
        ends = [START]
        for name in arm.stages or ():
            stage = arms.get(name)
            if stage is None or stage.what in ("seq", "none"):
                known = ", ".join(n for n, a in arms.items() if a.what not in ("seq", "none"))
                raise ConfigError(
                    f"Arm {arm.name}: its stage '{name}' is not an arm that trains; choose among "
                    f"{known}."
                )
            nodes = [node for end in ends for node in _branches(stage, end, source, targets)]
            for node in nodes:
                found.setdefault(node.name, node)
            ends = [node.name for node in nodes]
    return list(found.values())


def _complete(config: ArmsConfig, texts: bool) -> dict[str, ArmConfig]:
    arms = {arm.name: arm for arm in config.arms}
    added: dict[str, ArmConfig] = {}
    if NONE not in arms:
        added[NONE] = ArmConfig(name=NONE, kind="none")
    if BASE_MIX not in arms and texts:
        added[BASE_MIX] = ArmConfig(name=BASE_MIX, kind="mix", ratio="start")
    base = arms.get(BASE_MIX)
    if base is not None and base.kind is None:
        arms[BASE_MIX] = base.model_copy(update={"kind": "mix", "ratio": base.ratio or "start"})
    return added | arms


def _branches(
    arm: ArmConfig, parent: str, source: str | None, targets: Sequence[str]
) -> list[Node]:
    before = "" if parent == START else f"{parent}>"
    if arm.what != "inject":
        return [Node(before + arm.name, arm, parent)]
    if source is None:
        raise ConfigError(
            f"Arm {arm.name} injects facts, but there is no world; give data.world or data.worlds."
        )
    if arm.source not in (None, source):
        raise ConfigError(
            f"Arm {arm.name} injects facts in '{arm.source}', but the world's source is '{source}'."
        )
    wanted = list(targets if arm.targets is None else arm.targets)
    absent = [lang for lang in wanted if lang not in targets]
    if absent or not wanted:
        raise ConfigError(
            f"Arm {arm.name} has the target '{''.join(absent[:1])}', but the world has "
            f"{', '.join(targets)}."
        )
    if arm.design == "row":
        return [Node(before + arm.name, arm, parent, source, tuple(wanted))]
    return [Node(f"{before}{arm.name}/{t}", arm, parent, source, (t,)) for t in wanted]


def ancestors(node: Node, nodes: Sequence[Node]) -> list[Node]:
    """The nodes that it goes on from, the nearest first."""
    by_name = {one.name: one for one in nodes}
    found = []
    while node.arm is not None and node.parent != START:
        node = by_name[node.parent]
        found.append(node)
    return found
