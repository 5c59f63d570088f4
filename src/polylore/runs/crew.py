"""The workers of one run on a Ray cluster: hired, checked, given work, replaced when they die.

Workers are actors, so that they keep their model from batch to batch. Each has one batch at a
time: a batch takes seconds to hours and sending it milliseconds, so queueing more would gain
nothing, leave others idle at the end, and blur which batch killed a worker.
"""

import os
import platform
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from polylore.config import difference
from polylore.errors import PolyloreError, RunError
from polylore.files import sha256_file
from polylore.runs.executor import limit_threads
from polylore.runs.manifest import versions

Batch = TypeVar("Batch")

# An autoscaler may need minutes to add the first node; nobody waits for ever for one that never
# comes.
PATIENCE = 600.0


@dataclass(frozen=True)
class RayOptions:
    """Which cluster, and what each worker gets of it."""

    executor: str
    """`ray`: a cluster of our own on this machine, for this run only; `ray://auto`: the running
    cluster that this machine is part of; `ray://host:port`: the client server of a cluster."""
    jobs: int
    """Workers side by side, as far as the cluster has room."""
    threads: int
    """Arithmetic threads per worker."""
    cpus: float
    """CPUs per worker."""
    gpus: float
    """GPUs per worker; fractions share one."""
    retries: int
    """How often a batch is given to a fresh worker after it lost one."""
    folder: Path | None = None
    """Run folder that every worker must see."""


class _Worker:
    """Lives in a process of the cluster; the module of `work` keeps there what it likes."""

    def __init__(self, threads: int, folder: str) -> None:
        limit_threads(threads)
        # Relative paths in batches mean what they mean where the command was typed.
        with suppress(OSError):
            os.chdir(folder)

    def introduce(self, manifest: str | None) -> dict[str, Any]:
        """What must be as it is at the caller's."""
        path = None if manifest is None else Path(manifest)
        return {
            "node": platform.node(),
            "versions": _public_versions(),
            "manifest": sha256_file(path) if path and path.is_file() else None,
        }

    def do(self, work: Callable[[Any], int], batch: Any) -> int:
        """Work on one batch."""
        return work(batch)


def _public_versions() -> dict[str, str]:
    # A build for other hardware (2.6.0+cpu, 2.6.0+cu126) is the same version.
    return {name: version.partition("+")[0] for name, version in versions().items()}


class Crew(Generic[Batch]):
    """The workers of one run and what each of them is doing."""

    def __init__(
        self,
        ray: Any,
        batches: Sequence[Batch],
        work: Callable[[Batch], int],
        options: RayOptions,
        report: Callable[[int], None],
    ) -> None:
        self.ray, self.batches, self.work = ray, batches, work
        self.options, self.report = options, report
        self.manifest = None if options.folder is None else options.folder / "manifest.json"
        self.home = {
            "versions": _public_versions(),
            "manifest": None if self.manifest is None else sha256_file(self.manifest),
        }
        self.queue = deque(range(len(batches)))
        self.lost: Counter[int] = Counter()
        """Workers lost by each batch."""
        self.given_up: list[int] = []
        self.failed_starts = 0
        """In a row."""
        self.starting: dict[Any, Any] = {}
        """Actor by the reference of its introduction."""
        self.idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, int]] = {}
        """Actor and batch by the reference of the result."""
        self.done = 0

    def run(self) -> None:
        """Until every batch is done or given up."""
        while self.queue or self.busy:
            self._hire()
            while self.queue and self.idle:
                actor, number = self.idle.pop(), self.queue.popleft()
                self.busy[actor.do.remote(self.work, self.batches[number])] = actor, number
            waiting = [*self.starting, *self.busy]
            ready, _ = self.ray.wait(waiting, timeout=None if self.busy else PATIENCE)
            if not ready:
                raise RunError(self._no_room())
            for reference in ready:
                if reference in self.busy:
                    self._finish(reference)
                else:
                    self._welcome(reference)
        if self.given_up:
            raise RunError(self._hopeless())

    def dismiss(self) -> None:
        """End every worker; units are written atomically, so any moment is safe."""
        actors = [*self.starting.values(), *self.idle, *(actor for actor, _ in self.busy.values())]
        for actor in actors:
            self._end(actor)

    def _end(self, actor: Any) -> None:
        # The connection itself may be what was lost.
        with suppress(self.ray.exceptions.RayError, ConnectionError, RuntimeError):
            self.ray.kill(actor)

    def _hire(self) -> None:
        wanted = min(self.options.jobs, len(self.queue) + len(self.busy))
        for _ in range(wanted - len(self.starting) - len(self.idle) - len(self.busy)):
            actor = (
                self.ray.remote(_Worker)
                .options(num_cpus=self.options.cpus, num_gpus=self.options.gpus, max_restarts=0)
                .remote(self.options.threads, str(Path.cwd()))
            )
            manifest = None if self.manifest is None else str(self.manifest.absolute())
            self.starting[actor.introduce.remote(manifest)] = actor

    def _welcome(self, reference: Any) -> None:
        actor = self.starting.pop(reference)
        try:
            worker = self._get(reference)
        except self.ray.exceptions.RayError as error:
            self._end(actor)
            self.failed_starts += 1
            if self.failed_starts > self.options.retries:
                last = str(error).strip().splitlines()[-1]
                raise RunError(
                    f"Workers cannot start on the Ray cluster ({last.strip().rstrip('.')}); every "
                    "node needs the same polylore and Ray as this machine."
                ) from error
            return
        self.failed_starts = 0
        self.idle.append(actor)
        if worker["manifest"] != self.home["manifest"]:
            raise RunError(
                f"A Ray worker on {worker['node']} does not see the run folder "
                f"{self.options.folder}; give --out a folder on storage that all nodes share."
            )
        found = difference(worker["versions"], self.home["versions"])
        if found:
            raise RunError(
                f"The Ray node {worker['node']} has other versions ({'; '.join(found)}), which can "
                "change results; install the same on all nodes."
            )

    def _finish(self, reference: Any) -> None:
        actor, number = self.busy.pop(reference)
        try:
            self.done += self._get(reference)
        except self.ray.exceptions.RayError:
            # Unreachable is not dead: it must not write on while another does its work.
            self._end(actor)
            self.lost[number] += 1
            again = self.lost[number] <= self.options.retries
            # At the end of the queue, so that all others are done before it can hurt again.
            (self.queue if again else self.given_up).append(number)
        else:
            self.idle.append(actor)
            self.report(self.done)

    def _get(self, reference: Any) -> Any:
        """The result; an error of the code itself as what it was, other `RayError`s as they are."""
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, PolyloreError):
                raise error.cause from None
            raise _Defect(str(error)) from None

    def _no_room(self) -> str:
        there = self.ray.cluster_resources()
        return (
            f"For {PATIENCE:.0f} s no node of the Ray cluster had room for a worker with "
            f"{self.options.cpus:g} CPU and {self.options.gpus:g} GPU (in all it has "
            f"{there.get('CPU', 0):g} CPU and {there.get('GPU', 0):g} GPU); ask for less with "
            "execution.cpus_per_worker and execution.gpus_per_worker, or wait until others are "
            "done."
        )

    def _hopeless(self) -> str:
        names = ", ".join(str(self.batches[number]) for number in self.given_up[:3])
        more = ", ..." if len(self.given_up) > 3 else ""
        return (
            f"Each of the {self.options.retries + 1} workers that were given {names}{more} died "
            "(often for lack of memory); everything else is done and kept: run the same command "
            "again with larger workers or a smaller execution.token_budget."
        )


class _Defect(Exception):
    """An error inside a worker that is nobody's input, with the worker's traceback."""
