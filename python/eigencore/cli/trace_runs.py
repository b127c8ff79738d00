"""The work of `eigencore trace`: one model, one prompt or many, each trace saved as soon as it is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eigencore.cli.exit_codes import code_of
from eigencore.cli.interruption import Interruption
from eigencore.cli.progress import progress_bar
from eigencore.errors import InputError, RunExistsError, StoreError
from eigencore.prompts import read_prompts
from eigencore.store import is_run_folder, new_run_folder, replace_text

if TYPE_CHECKING:
    from eigencore.models import ModelSource
    from eigencore.tracing import Trace

REPORT_NAME = "report.html"


@dataclass(frozen=True)
class Run:
    """A trace that was saved."""

    trace: Trace
    folder: Path
    page_error: Exception | None = None
    """Why there is no page beside it, though one was asked for."""

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@dataclass
class Outcome:
    """What became of a job."""

    folder: Path
    """The run folder, or the folder of run folders."""
    runs: list[Run] = field(default_factory=list)
    failed: list[tuple[int, str, Exception]] = field(default_factory=list)
    """Number and text of the prompts without a trace, and why."""
    not_attempted: list[str] = field(default_factory=list)
    """Prompts that an interruption, or a failure of the machine, left over."""

    @property
    def interrupted(self) -> bool:
        cut_short = any(run.trace.stop_reason == "interrupted" for run in self.runs)
        return cut_short or bool(self.not_attempted and not self._machine_failed)

    @property
    def exit_code(self) -> int:
        if self._machine_failed:
            return 1
        if self.interrupted:
            return 130
        if not self.failed:
            return 0
        return 4 if self.runs else 3

    @property
    def _machine_failed(self) -> bool:
        errors = [error for _, _, error in self.failed] + [run.page_error for run in self.runs if run.page_error]
        return any(code_of(error) == 1 for error in errors)


@dataclass(frozen=True)
class TraceJob:
    """What `eigencore trace` was asked to do."""

    model: str
    dtype: str
    device: str
    options: dict[str, Any]
    """Of trace_generation."""
    overwrite: bool
    with_report: bool
    show_progress: bool

    def trace_one(self, prompt: str, out: Path | None) -> Outcome:
        """Traces a prompt into `out`, or into a new folder under runs/."""
        interruption = Interruption()
        with interruption.watched():
            # The folder is opened first: a place that cannot be written to should cost no generation.
            with self._opened(out) as (folder, work):
                session = self._load()
                interruption.defer()
                trace = session.trace_into(work, prompt, interruption)
            return Outcome(folder, [self._with_page(trace, folder)])

    def trace_file(self, prompts: Path, out: Path | None) -> Outcome:
        """Traces the prompts of a file into numbered folders; one that fails does not keep the others back."""
        texts = read_prompts(prompts)
        interruption = Interruption()
        with interruption.watched(), self._batch_folder(out) as base:
            folders = [base / f"{number:04d}" for number in range(1, len(texts) + 1)]
            session = self._load()
            interruption.defer()
            outcome = Outcome(base)
            for position, (text, folder) in enumerate(zip(texts, folders, strict=True), 1):
                if interruption.requested or outcome.exit_code == 1:
                    outcome.not_attempted = texts[position - 1 :]
                    break
                try:
                    with new_run_folder(folder, overwrite=self.overwrite) as work:
                        trace = session.trace_into(work, text, interruption, f"{position}/{len(texts)}")
                    outcome.runs.append(self._with_page(trace, folder))
                except Exception as error:
                    if code_of(error) is None:
                        raise
                    outcome.failed.append((position, text, error))
            if not outcome.not_attempted:
                _remove_numbered_beyond(base, len(texts))
        return outcome

    def _with_page(self, trace: Trace, folder: Path) -> Run:
        """Makes the page beside a trace that is safe already."""
        if not self.with_report:
            return Run(trace, folder)
        try:
            from eigencore.report import trace_page

            replace_text(folder / REPORT_NAME, trace_page(trace))
        except Exception as error:
            if code_of(error) is None:
                raise
            return Run(trace, folder, error)
        return Run(trace, folder)

    @contextmanager
    def _opened(self, out: Path | None) -> Iterator[tuple[Path, Path]]:
        """The run folder to be, and the hidden folder to write into."""
        with ExitStack() as stack:
            if out is not None:
                yield out, stack.enter_context(new_run_folder(out, overwrite=self.overwrite))
                return
            for folder in _default_folders(self.model):
                try:
                    work = stack.enter_context(new_run_folder(folder))
                except RunExistsError:
                    continue
                yield folder, work
                return

    @contextmanager
    def _batch_folder(self, out: Path | None) -> Iterator[Path]:
        """The folder of run folders, made; gone again where nothing came into it."""
        if out is not None and out.exists():
            _check_batch_folder(out, overwrite=self.overwrite)
        candidates = _default_folders(self.model) if out is None else iter([out])
        base, made = _make_first(candidates, exist_ok=out is not None)
        try:
            yield base
        finally:
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()

    def _load(self) -> _Session:
        with progress_bar(f"loading {self.model}", None, self.show_progress):
            from eigencore.models import load_source, locate_model

            source = locate_model(self.model)
            model, tokenizer = load_source(source, dtype=self.dtype, device=self.device)
        return _Session(self, source, model, tokenizer)


@dataclass(frozen=True)
class _Session:
    """A job with its model loaded."""

    job: TraceJob
    source: ModelSource
    model: Any
    tokenizer: Any

    def trace_into(self, work: Path, prompt: str, interruption: Interruption, position: str = "") -> Trace:
        """Traces one prompt, and writes its Parquet and JSON into `work`."""
        from eigencore.tracing import trace_generation

        title = f"tracing {self.job.model} {position}".strip()
        with progress_bar(title, self.job.options["max_new_tokens"], self.job.show_progress) as advance:
            trace = trace_generation(
                self.model,
                prompt,
                tokenizer=self.tokenizer,
                source=self.source,
                progress=advance,
                should_stop=lambda: interruption.requested,
                **self.job.options,
            )
        trace.write_into(work)
        return trace


def _default_folders(model: str) -> Iterator[Path]:
    base = f"{Path(model).name or 'model'}-{datetime.now():%Y%m%d-%H%M%S}"
    for attempt in count(1):
        yield Path("runs") / (base if attempt == 1 else f"{base}-{attempt}")


def _make_first(candidates: Iterator[Path], *, exist_ok: bool) -> tuple[Path, list[Path]]:
    """Makes the first candidate that can be made anew; also returns the folders that were made, innermost first."""
    for base in candidates:
        missing = [folder for folder in (base, *base.parents) if not folder.exists()]
        try:
            base.mkdir(parents=True, exist_ok=exist_ok)
        except FileExistsError:
            if not base.is_dir():
                raise StoreError(f"cannot make {base}: a file stands in the way; choose another folder") from None
            continue  # another process was first
        except OSError as error:
            raise StoreError(f"cannot make {base}: {error.strerror or error}") from error
        return base, missing
    raise AssertionError("there is always another name")


def _check_batch_folder(base: Path, *, overwrite: bool) -> None:
    if not base.is_dir():
        raise RunExistsError(f"{base} is a file; several runs need a folder")
    held = sorted(path.name for path in base.iterdir() if not path.name.startswith("."))
    if held and not overwrite:
        raise RunExistsError(f"{base} exists already and is not empty; choose another folder or --overwrite its runs")
    foreign = [name for name in held if not (name.isdecimal() and is_run_folder(base / name))]
    if foreign:
        raise RunExistsError(
            f"{base} holds what is no numbered run ({foreign[0]}) and will not be overwritten; choose another folder"
        )


def _remove_numbered_beyond(base: Path, count: int) -> None:
    """Runs of an earlier, longer file of prompts must not pass for this one's."""
    for folder in base.iterdir():
        if folder.name.isdecimal() and int(folder.name) > count and is_run_folder(folder):
            shutil.rmtree(folder)


def check_path(path: Path | None) -> None:
    """Raises InputError for a path whose name is not UTF-8: no file could say where it is."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the path {str(path)!r} is not UTF-8; choose another name") from error
