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
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(trace)


@app.callback(invoke_without_command=True)
def _root(context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


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
