"""Accelerators by name, and how long forward passes take on them by their published figures.

A pass takes the longest of three: its arithmetic at the peak rate, the bytes it must read at the
peak bandwidth, and handing out its kernels. Peaks are never reached, so shares of them are assumed;
they are assumptions, not measurements, and every plan says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from polylore.models.cost import Anatomy, Pass, flops, moved_bytes

UTILISATION = 0.4
"""Assumed share of the peak rate; large-model training reports 0.3 to 0.5 (PaLM, table 3)."""
BANDWIDTH_SHARE = 0.6
"""Assumed share of the peak bandwidth."""
DISPATCH = 5e-4
"""Assumed seconds to hand out the kernels of one layer, without compilation or CUDA graphs."""


@dataclass(frozen=True)
class Device:
    """An accelerator's published figures, dense, without sparsity."""

    name: str
    bf16: float
    """FLOP/s in bfloat16 (V100: float16) with float32 sums."""
    fp32: float
    """FLOP/s in plain float32, which torch uses unless TF32 is allowed."""
    bandwidth: float
    """Bytes per second of its memory."""
    memory: float
    """Bytes of its memory."""


DEVICES = (
    Device("NVIDIA V100 SXM2", 125e12, 15.7e12, 0.9e12, 32e9),
    Device("NVIDIA A100 SXM 80 GB", 312e12, 19.5e12, 2.039e12, 80e9),
    Device("NVIDIA H100 SXM", 989e12, 67e12, 3.35e12, 80e9),
    Device("NVIDIA H200 SXM", 989e12, 67e12, 4.8e12, 141e9),
    Device("NVIDIA L4", 121e12, 30.3e12, 0.3e12, 24e9),
    Device("NVIDIA L40S", 362e12, 91.6e12, 0.864e12, 48e9),
    Device("NVIDIA RTX 4090", 165e12, 82.6e12, 1.008e12, 24e9),
    Device("AMD MI300X", 1307e12, 163.4e12, 5.3e12, 192e9),
)
"""Source: the makers' data sheets."""


def device_seconds(
    device: Device, anatomy: Anatomy, passes: Mapping[Pass, int], dtype: str
) -> float:
    """Seconds of forward passes on a device; loading of weights and everything else left out."""
    width, rate = (4, device.fp32) if dtype == "float32" else (2, device.bf16)
    return sum(
        count
        * max(
            flops(anatomy, one) / (rate * UTILISATION),
            moved_bytes(anatomy, one, width) / (device.bandwidth * BANDWIDTH_SHARE),
            anatomy.layers * DISPATCH,
        )
        for one, count in passes.items()
    )
