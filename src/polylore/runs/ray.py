"""Runs batches of units on a Ray cluster, with the same outcome as local processes.

Units are written by the workers into the run folder, which therefore must be on storage that all
nodes share; through Ray itself pass only batches and counts.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any, TypeVar

from polylore.errors import ConfigError, RunError
from polylore.runs.crew import Crew, RayOptions

Batch = TypeVar("Batch")


def run_on_ray(
    batches: Sequence[Batch],
    work: Callable[[Batch], int],
    options: RayOptions,
    report: Callable[[int], None],
) -> None:
    """Apply `work` to every batch on a Ray cluster.

    Args:
        batches: arguments of `work`; their `str` names them in messages.
        work: function of a module that all nodes have; repeats only what is not done when it is
            given the same batch again. Returns how many units of the batch are done.
        options: the cluster and its workers.
        report: called with the number of units done so far.

    Raises:
        ConfigError: Ray is not installed, or `options.executor` names no cluster.
        RunError: the cluster cannot be reached or has no room; its nodes differ from this one in
            what decides results; some batches lost every worker they were given to.
        PolyloreError: what `work` raised, as it is.
    """
    if options.executor != "ray" and not options.executor.startswith("ray://"):
        raise ConfigError(
            f"There is no executor {options.executor}; say local, ray or ray://host:port."
        )
    ray = _import_ray()
    with _connected(ray, options):
        crew = Crew(ray, batches, work, options, report)
        try:
            crew.run()
        finally:
            crew.dismiss()


def _import_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Without it, older versions warn of the default that newer ones have.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ConfigError(
            "The executor ray needs the package ray; install it with `pip install "
            "'polylore[ray]'`, or leave the executor at local."
        ) from error
    return ray


@contextmanager
def _connected(ray: Any, options: RayOptions) -> Iterator[None]:
    if ray.is_initialized():
        # The caller's own connection: used, and left open.
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if options.executor == "ray":
            ray.init(
                address="local",
                num_cpus=ceil(options.jobs * options.cpus),
                include_dashboard=False,
                # Results go into the run folder; only names and counts pass through Ray.
                object_store_memory=100 * 2**20,
                **quiet,
            )
            _require_gpus(ray, options)
        else:
            address = options.executor
            _connect(ray, "auto" if address == "ray://auto" else address, quiet)
        yield
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str, quiet: dict[str, Any]) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # says at length what the sentence below says
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(
            f"No Ray cluster answers at {address} ({reason[0].rstrip('.')}); give the host and "
            "port of its client server (port 10001 unless changed), or ray://auto on a machine "
            "that is part of it."
        ) from error


def _require_gpus(ray: Any, options: RayOptions) -> None:
    there = ray.cluster_resources().get("GPU", 0)
    if there < options.gpus:
        raise RunError(
            f"Each worker asks for {options.gpus:g} GPU and this machine offers Ray {there:g}; "
            "set execution.device to cpu or execution.gpus_per_worker to what is there."
        )
