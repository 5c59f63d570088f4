"""As much of vLLM as polylore uses, true to its interface: put this folder on the import path.

It refuses arguments that vLLM does not know, ends answers where vLLM ends them (end-of-text and
stop tokens stay in `token_ids`, a stop string is looked for in the new text alone and cuts only the
text), and computes with transformers. Calls are appended to the file that FAKE_VLLM_LOG names.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(kw_only=True)
class SamplingParams:
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    min_tokens: int = 0
    detokenize: bool = True
    skip_special_tokens: bool = True
    include_stop_str_in_output: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}.")
        self.stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        self.stop_token_ids = self.stop_token_ids or []


@dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: list[int]
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclass
class RequestOutput:
    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    finished: bool = True


class LLM:
    def __init__(
        self,
        model: str,
        *,
        tokenizer: str | None = None,
        trust_remote_code: bool = False,
        dtype: str = "auto",
        seed: int | None = None,
        gpu_memory_utilization: float = 0.9,
        enforce_eager: bool = False,
        max_model_len: int | None = None,
    ) -> None:
        if dtype not in ("auto", "float32", "float16", "bfloat16"):
            raise ValueError(f"Unknown dtype: {dtype!r}\nand a second line")
        import transformers

        log("LLM", {k: v for k, v in locals().items() if k not in ("self", "transformers")})
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer or model)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval()
        self.limit = max_model_len or 10**9
        self.count = 0

    def next(self, ids: list[int]) -> int:
        import torch

        with torch.inference_mode():
            return int(self.model(torch.tensor([ids])).logits[0, -1].argmax())

    def generate(
        self,
        prompts: list[dict[str, Any]],
        sampling_params: SamplingParams | list[SamplingParams] | None = None,
        *,
        use_tqdm: bool = True,
    ) -> list[RequestOutput]:
        params = sampling_params if isinstance(sampling_params, list) else [sampling_params]
        assert len(params) == len(prompts)
        log("generate", {"prompts": prompts, "params": [vars(p) for p in params]})
        return [self.one(p["prompt_token_ids"], s) for p, s in zip(prompts, params, strict=True)]

    def one(self, prompt: list[int], params: SamplingParams) -> RequestOutput:
        if len(prompt) >= self.limit:
            raise ValueError(f"The prompt is longer than the maximum model length {self.limit}.")
        assert params.temperature == 0, "this fake is greedy"
        new: list[int] = []
        finish, reason, text = None, None, ""
        while finish is None:
            token = self.next(prompt + new)
            new.append(token)
            if token == self.tokenizer.eos_token_id and not params.ignore_eos:
                finish = "stop"
            elif token in params.stop_token_ids:
                finish, reason = "stop", token
            elif len(new) >= params.max_tokens or len(prompt) + len(new) >= self.limit:
                finish = "length"
            shown = new[:-1] if finish == "stop" and not params.include_stop_str_in_output else new
            text = self.tokenizer.decode(shown, skip_special_tokens=params.skip_special_tokens)
            for stop in params.stop:
                if stop in text:
                    end = text.index(stop) + len(stop) * params.include_stop_str_in_output
                    finish, reason, text = "stop", stop, text[:end]
        self.count += 1
        made = CompletionOutput(0, text, new, finish, reason)
        return RequestOutput(str(self.count), None, prompt, [made])


def log(call: str, values: dict[str, Any]) -> None:
    if "FAKE_VLLM_LOG" in os.environ:
        with Path(os.environ["FAKE_VLLM_LOG"]).open("a") as stream:
            settings = {k: v for k, v in os.environ.items() if k.startswith("VLLM_")}
            stream.write(json.dumps({"call": call, "settings": settings} | values) + "\n")
