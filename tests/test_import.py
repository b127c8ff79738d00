"""What `import eigencore` loads, how long it takes, and which names it gives."""

import subprocess
import sys

import eigencore as ec

HEAVY = ("torch", "transformers", "scipy", "pandas", "plotly", "pyarrow", "rich", "typer")


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_loads_no_heavy_library():
    loaded = run_python(f"import sys, eigencore; print([m for m in {HEAVY!r} if m in sys.modules])")
    assert loaded == "[]"


def test_measuring_numpy_matrices_loads_no_heavy_library():
    code = (
        "import sys, numpy, eigencore as ec; ec.batch_metrics(numpy.eye(3)).summary(); ec.row_metrics(numpy.eye(3)); "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_every_public_name_is_there_and_documented():
    for name in ec.__all__:
        value = getattr(ec, name)
        assert name == "__version__" or value.__doc__, name
    assert set(ec.__all__) <= set(dir(ec))


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert version("eigencore") == ec.__version__
