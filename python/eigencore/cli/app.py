"""The program `eigencore`: its subcommands, and what its errors become.

Exit codes: 0 done; 1 the machine failed us; 2 the command line is wrong; 3 the input cannot be used; 130 interrupted.
"""

from __future__ import annotations

import os
import sys

import typer

from eigencore.cli.trace import trace
from eigencore.errors import EigencoreError, StoreError
from eigencore.version import __version__

app = typer.Typer(
    name="eigencore",
    help="The spectrum of attention in transformers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(trace)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Runs the program and ends the process with its exit code."""
    try:
        app()
    except StoreError as error:
        _end(error, 1)
    except EigencoreError as error:
        _end(error, 3)
    except BrokenPipeError:
        # Whoever read our output has gone; leave nothing for the interpreter to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (OSError, MemoryError) as error:
        _end(error, 1)
    except KeyboardInterrupt:
        sys.exit(130)


def _end(error: Exception, code: int) -> None:
    print(f"eigencore: {error}", file=sys.stderr)
    sys.exit(code)
