"""One pass of vLLM over one checkpoint, in a process of its own: `python -m ... JOB RESULT`.

Its own process, because only the end of a process gives all of a GPU's memory back, whatever the
version of vLLM. The job and its result are JSON:

```
job     {"engine": {arguments of vllm.LLM}, "prompts": [{"ids": [...], "cap": n}],
         "ends": [token ids], "stop_at_newline": true}
result  {"tokens": [[...], ...]}                or {"error": "..."}
```
Here nothing is decided about texts: the tokens go back, perhaps more than are wanted, and the rules
of `generation` are applied to them there.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

# In this process the engine runs without a further one, which also makes its scheduling
# deterministic; and nobody is told that it is used.
SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


def answer(job: dict[str, Any]) -> list[list[int]]:
    """New token ids of every prompt of a job, an end-of-text token included."""
    import vllm

    engine = vllm.LLM(**job["engine"])
    prompts = job["prompts"]
    tokens: list[list[int]] = [[] for _ in prompts]
    left = list(range(len(prompts)))
    while left:
        outputs = engine.generate(
            [{"prompt_token_ids": prompts[k]["ids"] + tokens[k]} for k in left],
            [_greedy(vllm, job, prompts[k]["cap"] - len(tokens[k])) for k in left],
            use_tqdm=False,
        )
        again = []
        for k, output in zip(left, outputs, strict=True):
            made = output.outputs[0]
            if made.finish_reason not in ("stop", "length") or not made.token_ids:
                raise RuntimeError(f"a prompt was broken off: {made.finish_reason}")
            tokens[k] += made.token_ids
            # A newline before any text does not end an answer.
            early = made.stop_reason == "\n" and not made.text.strip()
            if early and len(tokens[k]) < prompts[k]["cap"]:
                again.append(k)
        left = again
    return tokens


def _greedy(vllm: Any, job: dict[str, Any], cap: int) -> Any:
    return vllm.SamplingParams(
        temperature=0.0,
        max_tokens=cap,
        stop=["\n"] if job["stop_at_newline"] else None,
        include_stop_str_in_output=True,
        stop_token_ids=job["ends"],
        skip_special_tokens=False,
    )


def main(job: str, result: str) -> None:
    """Read a job, work, and write its result."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to handle
    threading.Thread(target=_end_with_caller, daemon=True).start()
    os.environ.update({k: v for k, v in SETTINGS.items() if k not in os.environ})
    try:
        found: dict[str, Any] = {"tokens": answer(json.loads(Path(job).read_text("utf-8")))}
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        found = {"error": f"{type(error).__name__}: {lines[0]}"}
    Path(result).write_text(json.dumps(found), "utf-8")


def _end_with_caller() -> None:
    # The caller never writes; its end of the pipe closes when it is gone.
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
