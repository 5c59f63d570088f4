"""How alike the vectors of the same facts are in two languages (`trace`, section 4.6).

A cosine alone says little: the vectors of most models share a direction, so any two of them are
alike. What a fact's own cosine is held against are the cosines of different facts, in closed form:
no matrix of all pairs is made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

TIE = 1e-6
"""Cosines that differ by less are equal: rounding of float32 vectors."""
NOTHING = 1e-5
"""Part of a vector's length below which what is left without the mean is rounding."""
PAIRS = 2**24
"""Pairs of facts whose cosines are in memory at once."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """Numbers of each fact at one layer and position; NaN where a vector is zero."""

    cos_N: Floats
    centred_N: Floats
    """Cosine after subtracting each language's mean vector; NaN where nothing is left."""
    base_N: Floats
    """Mean cosine with the other facts of its relation, in both directions; NaN without others."""
    hit_N: Floats
    """1 if its cosine is larger than every other one of its row and column, else 0 (MEXA)."""
    bases: list[tuple[str, str, int, float]]
    """Stratum, relation or `all`, facts, and mean cosine of different facts (NaN if under two)."""


def align(
    u_ND: torch.Tensor,
    v_ND: torch.Tensor,
    relations: Sequence[str],
    strata: Mapping[str, npt.NDArray[np.bool_]],
) -> Alignment:
    """Compare the vectors of the same facts in a language (u) and in the pivot (v).

    Args:
        u_ND: float32 (N, D), one row per fact.
        v_ND: the same facts in the pivot.
        relations: relation of each fact.
        strata: facts over which baselines are taken, by name.
    """
    # Sums of many products, of which large parts cancel; not every accelerator has float64.
    wide = torch.float32 if u_ND.device.type == "mps" else torch.float64
    there_N = (u_ND != 0).any(1) & (v_ND != 0).any(1)
    u, v = (_unit(x.to(wide), there_N) for x in (u_ND, v_ND))
    cos_N = (u * v).sum(1)
    known = there_N.cpu().numpy()
    names, code_N = np.unique(np.asarray(relations, dtype=str), return_inverse=True)
    codes = torch.from_numpy(code_N).to(u.device)

    def told(values: torch.Tensor, defined: npt.NDArray[np.bool_]) -> Floats:
        return np.where(defined, values.cpu().double().numpy(), np.nan)

    centred, left = _centred(u_ND.to(wide), v_ND.to(wide), there_N)
    base, several = _own_bases(u, v, cos_N, there_N, codes, len(names))
    hit = _hits(u.float(), v.float(), cos_N, there_N)
    return Alignment(
        told(cos_N, known),
        told(centred, left.cpu().numpy()),
        told(base, several.cpu().numpy()),
        told(hit, known & (known.sum() > 1)),
        list(_bases(u, v, cos_N, known, names, code_N, strata)),
    )


def _unit(x_ND: torch.Tensor, there_N: torch.Tensor) -> torch.Tensor:
    """Rows of length 1, and zero where a fact has no vector in both languages."""
    norm_N = x_ND.norm(dim=1)
    scale_N = torch.where(there_N, 1 / norm_N.clamp_min(torch.finfo(x_ND.dtype).tiny), 0)
    return x_ND * scale_N[:, None]


def _centred(
    u: torch.Tensor, v: torch.Tensor, there_N: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines without the mean vectors, and where there is anything left to compare."""
    left_N = there_N.clone()
    rest = []
    for x in (u, v):
        mean_D = x[there_N].mean(0) if bool(there_N.any()) else x.new_zeros(x.shape[1])
        without = x - mean_D
        left_N &= without.norm(dim=1) > NOTHING * x.norm(dim=1)
        rest.append(without)
    one, two = (_unit(x, left_N) for x in rest)
    return (one * two).sum(1), left_N


def _own_bases(
    u: torch.Tensor,
    v: torch.Tensor,
    cos_N: torch.Tensor,
    there_N: torch.Tensor,
    code_N: torch.Tensor,
    n_relations: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean cosine of each fact with the others of its relation, and where there are others."""
    sums = [
        torch.zeros(n_relations, u.shape[1], dtype=u.dtype, device=u.device).index_add(0, code_N, x)
        for x in (u, v)
    ]
    size_N = torch.bincount(code_N[there_N], minlength=n_relations)[code_N]
    both_N = (u * sums[1][code_N]).sum(1) + (v * sums[0][code_N]).sum(1) - 2 * cos_N
    several_N = there_N & (size_N > 1)
    return both_N / (2 * (size_N - 1).clamp_min(1)), several_N


def _hits(
    u: torch.Tensor, v: torch.Tensor, cos_N: torch.Tensor, there_N: torch.Tensor
) -> torch.Tensor:
    """Whether each cosine is larger than every other one of its row and its column, in blocks."""
    count = len(u)
    absent = torch.full((count,), -torch.inf, dtype=u.dtype, device=u.device)
    row_N, column_N = absent.clone(), absent.clone()
    step = max(1, PAIRS // max(1, count))
    for start in range(0, count, step):
        rows = torch.arange(start, min(start + step, count), device=u.device)
        found = u[rows] @ v.T
        found[:, ~there_N] = -torch.inf
        found[~there_N[rows]] = -torch.inf
        found[rows - start, rows] = -torch.inf
        row_N[rows] = found.amax(1)
        column_N = torch.maximum(column_N, found.amax(0))
    return cos_N > torch.maximum(row_N, column_N) + TIE


def _bases(
    u: torch.Tensor,
    v: torch.Tensor,
    cos_N: torch.Tensor,
    known_N: npt.NDArray[np.bool_],
    names: npt.NDArray[np.str_],
    code_N: npt.NDArray[np.int64],
    strata: Mapping[str, npt.NDArray[np.bool_]],
) -> Iterator[tuple[str, str, int, float]]:
    """((sum u) . (sum v) - sum u.v) / (n (n - 1)) of each stratum, in relations and over all."""
    for stratum, inside_N in strata.items():
        kept = inside_N & known_N
        for code, name in [*enumerate(names.tolist()), (-1, "all")]:
            chosen = kept if code < 0 else kept & (code_N == code)
            n = int(chosen.sum())
            rows = torch.from_numpy(np.flatnonzero(chosen)).to(u.device)
            pairs = n * (n - 1)
            apart = torch.dot(u[rows].sum(0), v[rows].sum(0)) - cos_N[rows].sum()
            yield stratum, name, n, float(apart) / pairs if pairs else float("nan")
