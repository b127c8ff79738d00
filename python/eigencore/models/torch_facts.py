"""What torch has on this machine."""

from __future__ import annotations

from typing import Any


def torch_facts() -> dict[str, Any]:
    """torch_threads, and the names of the CUDA devices that torch sees."""
    import torch

    cuda = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {"torch_threads": torch.get_num_threads(), "cuda": [torch.cuda.get_device_name(i) for i in cuda]}
