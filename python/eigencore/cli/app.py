"""The program `eigencore`: its subcommands, and what becomes of its errors."""

from __future__ import annotations

import io
import os
import sys

import typer

from eigencore.cli.doctor import doctor
from eigencore.cli.exit_codes import code_of, one_line
from eigencore.cli.report import report
from eigencore.cli.trace import trace
from eigencore.version import __version__

app = typer.Typer(
    name="eigencore",
    help="The spectrum of attention in transformers.",
    epilog="Exit codes: 0 done; 1 the machine failed (disk full, not writable, out of memory); 2 wrong command line; "
    "3 unusable input (no such model, empty prompt, damaged run, folder that exists); 4 partly done, the rest listed; "
    "130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command()(trace)
app.command()(report)
app.command()(doctor)


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character gets its code
    try:
        app(prog_name="eigencore")
    except BrokenPipeError:
        # Whoever read our output has gone; leave nothing for the interpreter to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        code = code_of(error)
        if code is None:
            raise
        print(f"eigencore: {one_line(error)}", file=sys.stderr)
        sys.exit(code)
