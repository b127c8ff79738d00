"""What the benchmarks of spectra share: workloads, paired timing, facts of the machine, tables and plots.

Imported before NumPy, since OpenBLAS reads its environment once, when it loads: OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE
slow NumPy where they are set, and no ratio here may profit from that.
"""

from __future__ import annotations

import os
import sys

CLEARED = tuple(name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if os.environ.pop(name, None) is not None)
"""The variables that were set and are not any more."""

if CLEARED and "numpy" in sys.modules:
    raise ImportError(f"{', '.join(CLEARED)} slows NumPy, which has been loaded with it; unset it and start again")
