"""Does patching tell a shared concept space from separate ones that translate equally well?

Tiny models learn to translate 32 concepts between 8 languages. In the arm `joint` every language is
translated into every other, so one space can serve all; in `islands` only within four pairs of
languages, so the vectors of a pair can mean nothing to another (specification of `patch`, section
9). Both arms end up translating perfectly; only the patch can tell them apart. Whatever comes
out is written down.
"""

import argparse
import random
import time
from pathlib import Path
from typing import Any

import polars as pl
import torch

from acceptance.results import write_results
from polylore.facts.lexicon import Lexicon
from polylore.studies.patch.config import PatchConfig
from polylore.studies.patch.planning.build import make_plan
from polylore.studies.patch.running.config import PatchRunConfig, PatchScoreConfig
from polylore.studies.patch.running.study import run_patch
from polylore.studies.patch.scoring import open_patch_run, report, score
from polylore.tables.lexicon import LEXICON

LANGS = [f"l{n}" for n in range(8)]
CONCEPTS = 32
STEPS = 1200
CHECKPOINTS = (0, 100, 200, 300, 400, 500, 600, 800, 1000, 1200)
TOKENS = 48 * 33
PAIRS = ["l2-l3", "l4-l5", "l6-l7"]
CLOSING = 0.1
"""Weight of the closing quote in the loss; with 1, a joint model could stay at chance for long."""
ARMS = ("joint", "islands")
FLOORS = ("random_concept", "shuffled_mean", "gauss", "grand_mean")
SHOWN = ("src_unpatched", "tgt", "self", "en_en", "samek1", "seen", "norm_matched", *FLOORS)


def word(concept: int, lang: int) -> str:
    """A word of its own for every concept and language."""
    return f"w{concept:02d}{lang}"


def name(lang: int) -> str:
    """What a language calls itself."""
    return f"Lang{lang}"


def lexicon() -> Lexicon:
    """All concepts in all languages."""
    rows = [
        {"concept_id": f"c{c:02d}", "lang": LANGS[n], "rank": 0, "form": word(c, n), "aliases": [],
         "senses": [], "n_slots": 1, "erratum": False, "flags": [], "source": "made here"}
        for c in range(CONCEPTS) for n in range(8)
    ]  # fmt: skip
    return Lexicon("made here", LEXICON.build(rows))


def vocabulary() -> dict[str, int]:
    """One token per word, name and sign; 269 in all."""
    pieces = ["<pad>", "<s>", ': "', '" - ', '"\n']
    pieces += [name(n) for n in range(8)]
    pieces += [word(c, n) for c in range(CONCEPTS) for n in range(8)]
    return {piece: number for number, piece in enumerate(pieces)}


def make_tokenizer() -> Any:
    """Splits a text into these pieces."""
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )
    from transformers import PreTrainedTokenizerFast

    known = vocabulary()
    raw = Tokenizer(models.WordLevel(known, unk_token="<pad>"))
    # A word after a space is the same word, as in other tokenizers; there is no token of a space.
    raw.normalizer = normalizers.Replace(Regex("^ "), "")
    pattern = "|".join([': "', '" - ', '"\n', "Lang[0-7]", "w[0-9]{3}"])
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", known["<s>"])]
    )
    raw.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", pad_token="<pad>")


def pairs_of(arm: str) -> list[tuple[int, int]]:
    """Ordered pairs of languages that are translated, copies included."""
    return [(a, b) for a in range(8) for b in range(8) if arm == "joint" or a // 2 == b // 2]


def documents(arm: str, seed: int) -> Any:
    """Endless batches (48, 33): four lines of one pair of languages, distinct concepts."""
    known = vocabulary()
    draw = random.Random(f"{arm} {seed}")
    held: dict[tuple[int, int], set[int]] = {}
    if arm == "joint":
        held = {(a, b): set(draw.sample(range(CONCEPTS), 4)) for a, b in pairs_of(arm) if a != b}
    pairs = pairs_of(arm)
    while True:
        rows = []
        for _ in range(48):
            a, b = draw.choice(pairs)
            told = [c for c in range(CONCEPTS) if c not in held.get((a, b), ())]
            row = [known["<s>"]]
            for c in draw.sample(told, 4):
                line = [name(a), ': "', word(c, a), '" - ', name(b), ': "', word(c, b), '"\n']
                row += [known[piece] for piece in line]
            rows.append(row)
        yield torch.tensor(rows)


def train(arm: str, seed: int, folder: Path) -> Path:
    """A series of checkpoints; what is there already is not made again."""
    if (folder / f"step{STEPS}" / "config.json").is_file():
        return folder
    from transformers import LlamaConfig, LlamaForCausalLM, get_cosine_schedule_with_warmup

    torch.manual_seed(seed)
    tokenizer = make_tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=269, hidden_size=48, intermediate_size=192, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False,
            max_position_embeddings=64, bos_token_id=1, pad_token_id=0, eos_token_id=None,
        )
    )  # fmt: skip
    best = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.98), weight_decay=0.05)
    rate = get_cosine_schedule_with_warmup(best, 50, STEPS)
    # The signs before each answer, and the answers, before their closing quotes.
    asked = [8 * line + 6 for line in range(4)] + [8 * line + 7 for line in range(4)]
    batches = documents(arm, seed)
    begin = time.monotonic()
    for step in range(STEPS + 1):
        if step in CHECKPOINTS:
            model.save_pretrained(folder / f"step{step}")
            tokenizer.save_pretrained(folder / f"step{step}")
            print(f"{arm} {seed}: step {step}, {time.monotonic() - begin:.0f} s", flush=True)
        if step == STEPS:
            break
        ids = next(batches)
        logits = model(input_ids=ids, use_cache=False).logits[:, asked]
        wanted = ids[:, [n + 1 for n in asked]]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        # Whole words are scored, so the closing quote is learned too; it is easy.
        loss = losses[:, :4].mean() + CLOSING * losses[:, 4:].mean()
        best.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        best.step()
        rate.step()
    return folder


def patch(arm: str, folder: Path) -> dict[str, pl.DataFrame]:
    """Plan, patch and score one series; returns its tables. What is done is not done again."""
    if (folder / "run" / "report.html").is_file():
        kept = open_patch_run(folder / "run")
        return {name: kept.table(name) for name in kept.table_names()}
    tokenizer = make_tokenizer()
    inside = [f"l{a}-l{b}" for a, b in pairs_of("islands") if a != b]
    config = PatchConfig.parse(
        {
            "model": str(folder / "model"),
            "plan": {
                "pairs": PAIRS,
                "seen": LANGS,
                "pivot": "l0",
                "names": {LANGS[n]: name(n) for n in range(8)},
                "n_pairs": 16,
                "n_shots": 3,
                "samek": [1],
                "allow_small_k": True,
                # In islands only these pairs were trained; others say nothing about sharing.
                **({"source_pairs": inside} if arm == "islands" else {}),
            },
        }
    )
    if not (folder / "plan" / "plan.json").is_file():
        make_plan(config, tokenizer, lexicon()).save(folder / "plan")
    run = run_patch(
        PatchRunConfig.parse(
            {
                "model": str(folder / "model"),
                "plan": str(folder / "plan"),
                "series": {"tokens_per_step": TOKENS},
                "ask": {"max_new_tokens": 2},
            }
        ),
        folder / "run",
        progress=lambda done, total, what: print(f"{arm}: {what} {done} of {total}", flush=True),
    )
    made = score(run, PatchScoreConfig(draws=1000, floor_margin=FLOOR))
    report(run)
    return made | {"checkpoints": run.table("checkpoints")}


def value(tables: dict[str, pl.DataFrame], setting: str, step: int, onset: int) -> float:
    """Mean p_full(s, b) over all items of a setting; `samek1` is one foreign language pair."""
    free = setting.endswith("unpatched")
    shared = (
        (pl.col("step") == step)
        & (pl.col("metric") == "p_full")
        & (pl.col("subset") == "full")
        & (pl.col("lang_a") == "l2")
        & (pl.col("lang_b") == "l3")
        & (pl.col("onset").is_null() if free else pl.col("onset") == onset)
        & pl.col("at").is_in(["unpatched", "onset"])
    )
    if setting == "samek1":
        rows = tables["patch_samek"].filter(shared & (pl.col("k") == 1) & pl.col("draw").is_null())
    else:
        source = pl.col("setting") == setting
        rows = tables["patch_curves"].filter(shared & source & (pl.col("cell") == "src_b"))
    return float(rows["mean"].item())


def emerged(tables: dict[str, pl.DataFrame], kind: str) -> str:
    """Where seen - random_concept emerged at onset -1, over all language pairs."""
    row = tables["patch_emergence"].filter(
        (pl.col("contrast") == "seen-random_concept")
        & (pl.col("kind") == kind)
        & (pl.col("metric") == "p_full")
        & (pl.col("subset") == "full")
        & (pl.col("onset") == -1)
        & (pl.col("lang_a") == "l2")
    ).row(0, named=True)  # fmt: skip
    ends = "" if row["censor"] == "undefined" else f" ({row['lo_step']}, {row['hi_step']}]"
    return f"{row['censor']}{ends}"


def orders(arm: str, tables: dict[str, pl.DataFrame]) -> list[tuple[str, str, bool]]:
    """The required ordering: (what, measured, kept)."""
    found = []
    high = {"src_unpatched": 0.9, "tgt": 0.9, "self": 0.8, "en_en": 0.8, "samek1": 0.8, "seen": 0.7}
    low = dict.fromkeys(FLOORS, 0.15)
    if arm == "islands":
        high = {"src_unpatched": 0.9, "tgt": 0.9, "self": 0.9}
        low = dict.fromkeys(("seen", "en_en", "samek1", *FLOORS), 0.2)
    for step in (600, STEPS):
        at = {name: value(tables, name, step, -1) for name in (*high, *low)}
        for bounds, sign in ((high, "≥"), (low, "≤")):
            for setting, bound in bounds.items():
                kept = at[setting] >= bound if sign == "≥" else at[setting] <= bound
                what = f"{setting} {sign} {bound} at step {step}"
                found.append((what, f"{at[setting]:.3f}", kept))
    for onset, most in ((0, 0.2), (1, 0.05), (2, 0.05)):
        got = value(tables, "seen", STEPS, onset)
        found.append((f"seen ≤ {most} from block {onset} on", f"{got:.3f}", got <= most))
    if arm == "joint":
        said = emerged(tables, "E2")
        near = any(said == f"interval ({a}, {b}]" for a, b in NEAR)
        found.append(("half of it emerged in (300, 400] ± one checkpoint", said, near))
    else:
        said = emerged(tables, "E1")
        found.append(("never emerged (E1 right-censored)", said, said.startswith("right")))
    return found


FLOOR = 0.15
NEAR = ((200, 300), (300, 400), (400, 500))


def lines_of(arm: str, seed: int, tables: dict[str, pl.DataFrame]) -> list[str]:
    """The part of the page about one series."""
    lines = [f"## {arm}, seed {seed}", "", f"| step | {' | '.join(SHOWN)} |"]
    lines.append("|---" * (len(SHOWN) + 1) + "|")
    for step in CHECKPOINTS:
        cells = [f"{value(tables, setting, step, -1):.3f}" for setting in SHOWN]
        lines.append(f"| {step} | {' | '.join(cells)} |")
    lines += ["", "| required | measured | kept |", "|---|---|---|"]
    lines += [f"| {a} | {b} | {'yes' if c else '**no**'} |" for a, b, c in orders(arm, tables)]
    return [*lines, ""]


def main() -> None:
    """Train, patch, score, write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--results", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "Mean probability of the whole word of the source concept in language b, language pair "
        "l2 → l3, 16 pairs of concepts, vectors put in at onset -1 (the input of block 0); "
        "`samek1` is one foreign language pair, over 5 draws. Chance is 0.031.",
        "",
        "Each row of `required` is what the specification asks for; what is not kept is in bold.",
        "",
    ]
    for seed in range(args.seeds):
        for arm in ARMS:
            folder = args.folder / f"{arm}-{seed}"
            train(arm, seed, folder / "model")
            if not args.train_only:
                lines += lines_of(arm, seed, patch(arm, folder))
    if args.results is not None:
        words = ["python", "-m", "acceptance.concepts", "--folder", "FOLDER", "--seeds"]
        title = "A shared concept space, and separate ones that translate as well"
        write_results(args.results, title, [*words, str(args.seeds)], lines)


if __name__ == "__main__":
    main()
