"""The work of `eigencore trace`: one model, one prompt or many, each trace saved as soon as it is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eigencore.cli.interruption import Interruption
from eigencore.errors import EigencoreError, RunExistsError, StoreError
from eigencore.prompts import read_prompts
from eigencore.store import check_free, new_run_folder

if TYPE_CHECKING:
    from eigencore.models import ModelSource
    from eigencore.tracing import Trace


@dataclass(frozen=True)
class Run:
    """A trace that was saved."""

    trace: Trace
    folder: Path
    files: list[str]


@dataclass
class Outcome:
    """What became of a job."""

    folder: Path
    """The run folder, or the folder of run folders."""
    runs: list[Run] = field(default_factory=list)
    failed: list[tuple[str, EigencoreError]] = field(default_factory=list)
    """Prompts without a trace, and why."""
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return 130
        if any(isinstance(error, StoreError) for _, error in self.failed):
            return 1
        if not self.failed:
            return 0
        return 4 if self.runs else 3


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
        # The folder is opened first: a place that cannot be written to should cost no generation.
        with interruption.watched(), self._opened(out) as (folder, work):
            run = self._load().save_trace(prompt, folder, work, interruption)
        return Outcome(folder, [run], interrupted=interruption.requested)

    def trace_file(self, prompts: Path, out: Path | None) -> Outcome:
        """Traces the prompts of a file into numbered folders; one that fails does not keep the others back."""
        texts = read_prompts(prompts)
        base = out if out is not None else next(f for f in _default_folders(self.model) if not f.exists())
        folders = [base / f"{number:04d}" for number in range(1, len(texts) + 1)]
        for folder in folders:
            check_free(folder, overwrite=self.overwrite)
        outcome, interruption = Outcome(base), Interruption()
        with interruption.watched():
            session = self._load()
            for position, (text, folder) in enumerate(zip(texts, folders, strict=True)):
                try:
                    with new_run_folder(folder, overwrite=self.overwrite) as work:
                        run = session.save_trace(text, folder, work, interruption, f"{position + 1}/{len(texts)}")
                    outcome.runs.append(run)
                except EigencoreError as error:
                    outcome.failed.append((text, error))
                    if isinstance(error, StoreError):
                        break  # the next would fail the same way
                if interruption.requested:
                    break
        outcome.interrupted = interruption.requested
        return outcome

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

    def _load(self) -> _Session:
        with _progress_bar(f"loading {self.model}", None, self.show_progress):
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

    def save_trace(self, prompt: str, folder: Path, work: Path, interruption: Interruption, position: str = "") -> Run:
        """Traces one prompt and writes all files of its run into `work`."""
        from eigencore.tracing import trace_generation

        options, total = self.job.options, self.job.options["max_new_tokens"]
        title = f"tracing {self.job.model} {position}".strip()
        with interruption.orderly():
            with _progress_bar(title, total, self.job.show_progress) as advance:
                trace = trace_generation(
                    self.model,
                    prompt,
                    tokenizer=self.tokenizer,
                    source=self.source,
                    progress=advance,
                    should_stop=lambda: interruption.requested,
                    **options,
                )
            trace.write_into(work)
            if self.job.with_report:
                from eigencore.report import trace_page

                (work / "report.html").write_text(trace_page(trace), encoding="utf-8")
        return Run(trace, folder, sorted(path.name for path in work.iterdir()))


def _default_folders(model: str) -> Iterator[Path]:
    base = f"{Path(model).name or 'model'}-{datetime.now():%Y%m%d-%H%M%S}"
    for attempt in count(1):
        yield Path("runs") / (base if attempt == 1 else f"{base}-{attempt}")


@contextmanager
def _progress_bar(title: str, total: int | None, show: bool) -> Iterator[Any]:
    """A bar on standard error, if that is a terminal; yields what to call with the number of steps done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    counted = () if total is None else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counted, TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (show and console.is_terminal)) as bars:
        bar = bars.add_task(title, total=total)
        yield lambda steps: bars.update(bar, completed=steps)
