"""What `eigencore trace` leaves and prints."""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eigencore.tracing import load_trace
from tests.cli.program import PROGRAM, PROMPT, Finished, assert_done, run_program, summary_of, without_spaces
from tests.synthetic_trace import synthetic_trace

HOT = ("--temperature", "1.5", "--max-new-tokens", "12")


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Path]:
    """A sampled trace of tiny, and its run folder."""
    folder = tmp_path_factory.mktemp("cli") / "runs" / "sampled"
    options = ("--model", "tiny", *HOT, "--seed", "7", "--out", str(folder))
    return run_program("trace", PROMPT, *options), folder


def test_trace_leaves_a_run_folder(sampled: tuple[Finished, Path]) -> None:
    finished, folder = sampled
    assert (finished.code, finished.stderr) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "summary.json", "trace.parquet"]
    assert list(folder.parent.iterdir()) == [folder]


def test_trace_leaves_a_trace_that_can_be_loaded(sampled: tuple[Finished, Path]) -> None:
    trace = load_trace(sampled[1])
    assert trace.prompt == PROMPT
    assert 1 <= trace.num_steps <= 12
    shape = (trace.num_steps, trace.model["num_hidden_layers"], trace.model["num_attention_heads"])
    assert all(values.shape == shape for values in trace.metrics.values())
    assert (trace.settings["seed"], trace.settings["max_new_tokens"]) == (7, 12)


def test_trace_lists_the_temperature_as_overridden(sampled: tuple[Finished, Path]) -> None:
    finished, folder = sampled
    assert summary_of(folder)["settings"]["overridden"]["temperature"] == 1.5
    assert summary_of(folder)["settings"]["generation"]["temperature"] == 1.5
    assert "temperature=1.5" in finished.stdout


def test_trace_prints_the_text_and_the_folder(sampled: tuple[Finished, Path]) -> None:
    finished, folder = sampled
    assert without_spaces(PROMPT + summary_of(folder)["text"]) in without_spaces(finished.stdout)
    assert str(folder) in finished.stdout
    assert "\x1b" not in finished.stdout


def test_trace_with_the_same_seed_gives_the_same_text(
    sampled: tuple[Finished, Path], run_here: Callable[..., Finished]
) -> None:
    assert_done(run_here, "trace", PROMPT, *HOT, "--seed", "7", "--out", "again")
    first, again = load_trace(sampled[1]), load_trace("again")
    assert (again.token_ids, again.text) == (first.token_ids, first.text)


def test_trace_with_another_seed_gives_another_text(
    sampled: tuple[Finished, Path], run_here: Callable[..., Finished]
) -> None:
    assert_done(run_here, "trace", PROMPT, *HOT, "--seed", "8", "--out", "other")
    assert load_trace("other").text != load_trace(sampled[1]).text


def test_trace_with_greedy_takes_the_most_probable_token(run_here: Callable[..., Finished]) -> None:
    assert_done(run_here, "trace", PROMPT, "--greedy", "--max-new-tokens", "12", "--out", "run")
    signals = load_trace("run").signals
    np.testing.assert_allclose(signals["surprisal"], -np.log2(signals["top1_probability"]), rtol=1e-12, atol=1e-12)


def test_trace_makes_a_folder_of_its_own_by_default(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    assert_done(run_here, "trace", "Hi", "--max-new-tokens", "1")
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"tiny-\d{8}-\d{6}", folder.name)
    assert (folder / "report.html").is_file()


def test_trace_with_overwrite_replaces_the_folder(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    for text in ("Hi", "Ho"):
        assert_done(run_here, "trace", text, "--max-new-tokens", "1", "--out", "run", "--overwrite")
    assert summary_of(tmp_path / "run")["prompt"] == "Ho"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["a[bold]b", "a:smile:b"])
def test_trace_prints_a_folder_whose_name_looks_like_markup(run_here: Callable[..., Finished], name: str) -> None:
    finished = assert_done(run_here, "trace", "Hi", "--max-new-tokens", "1", "--out", name)
    assert name in finished.stdout


def test_program_prints_the_layer_means(run_here: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch) -> None:
    trace = synthetic_trace()
    monkeypatch.setattr("eigencore.tracing.trace_generation", lambda *args, **kwargs: trace)
    lines = assert_done(run_here, "trace", PROMPT, "--out", "run").stdout.splitlines()
    names = ["spectral_entropy", "effective_rank"]
    for layer in (0, 1):
        expected = [np.nanmean(trace.metrics[name][:, layer]) for name in names]
        (found,) = [line.split() for line in lines if re.match(rf" +{layer}  ", line)]
        assert [float(x) for x in found[1:3]] == pytest.approx(expected, abs=5.1e-4)
    loop = trace.loop
    assert loop is not None
    assert any(f"loop of {loop.period} tokens" in line and f"{loop.copies} copies" in line for line in lines)


def test_program_prints_numbers_where_nothing_is_finite(
    run_here: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = synthetic_trace(loop=False)
    trace.metrics["spectral_entropy"][:, 1] = math.nan
    monkeypatch.setattr("eigencore.tracing.trace_generation", lambda *args, **kwargs: trace)
    assert "nan" in assert_done(run_here, "trace", PROMPT, "--out", "run").stdout


def test_trace_marks_the_loop_without_colour(
    run_here: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = synthetic_trace()
    monkeypatch.setattr("eigencore.tracing.trace_generation", lambda *args, **kwargs: trace)
    stdout = assert_done(run_here, "trace", PROMPT, "--out", "run").stdout
    assert trace.loop is not None
    once = "".join(trace.tokens[trace.loop.first_copy_step : trace.loop.onset_step])
    assert f"⟦{once}⟧" in stdout


def test_trace_fits_80_columns(run_here: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stdout = assert_done(run_here, "trace", "Hi", "--max-new-tokens", "2", "--out", "run").stdout
    table = stdout[stdout.index("mean over steps") :]
    assert max(len(line) for line in table.splitlines()) <= 80


def test_trace_as_json_is_one_object_on_stdout(run_here: Callable[..., Finished]) -> None:
    finished = assert_done(run_here, "trace", PROMPT, "--max-new-tokens", "3", "--out", "run", "--json", "--no-report")
    document = json.loads(finished.stdout)
    (run,) = document["runs"]
    summary = summary_of(Path("run"))
    assert (document["folder"], run["files"]) == ("run", ["summary.json", "trace.parquet"])
    assert (document["failed"], document["interrupted"]) == ([], False)
    for key in ("prompt", "text", "loop", "stop_reason", "layer_means", "model", "settings"):
        assert run[key] == summary[key]


def test_quiet_trace_prints_its_folder_alone(run_here: Callable[..., Finished]) -> None:
    finished = assert_done(run_here, "trace", PROMPT, "--max-new-tokens", "1", "--quiet", "--no-report")
    (folder,) = Path("runs").iterdir()
    assert finished.stdout == f"{folder}\n"


def test_trace_measures_what_it_is_asked_for(run_here: Callable[..., Finished]) -> None:
    options = ("--max-new-tokens", "5", "--spectrum", "singular", "--every", "2", "--out", "run", "--no-report")
    assert_done(run_here, "trace", PROMPT, *options)
    trace = load_trace("run")
    measured = ~np.isnan(trace.singular_metrics["stable_rank"][:, 0, 0])
    assert measured.tolist() == [True, False, True, False, True]


def prompt_file(tmp_path: Path, *prompts: str) -> str:
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": prompt}) for prompt in prompts), encoding="utf-8")
    return str(path)


def test_trace_of_a_file_leaves_a_numbered_folder_for_each_prompt(
    run_here: Callable[..., Finished], tmp_path: Path
) -> None:
    file = prompt_file(tmp_path, "One", "Two\nlines", "Three")
    finished = assert_done(run_here, "trace", "--prompts", file, "--max-new-tokens", "2", "--out", "many")
    assert [load_trace(f"many/000{i}").prompt for i in (1, 2, 3)] == ["One", "Two\nlines", "Three"]
    assert sorted(p.name for p in Path("many").iterdir()) == ["0001", "0002", "0003"]
    assert "3 runs in many/" in finished.stdout
    assert "Two⏎lines" in finished.stdout
    single = ec_trace("Two\nlines")
    assert load_trace("many/0002").token_ids == single.token_ids
    assert load_trace("many/0002").model == single.model


def ec_trace(prompt: str) -> Any:
    import eigencore as ec

    return ec.trace_generation("tiny", prompt, max_new_tokens=2)


def test_trace_of_a_file_goes_on_after_a_prompt_that_cannot_be_traced(
    run_here: Callable[..., Finished], tmp_path: Path
) -> None:
    file = prompt_file(tmp_path, "One", "long " * 600, "Three")
    finished = run_here("trace", "--prompts", file, "--max-new-tokens", "2", "--out", "many", "--json")
    assert finished.code == 4
    document = json.loads(finished.stdout)
    assert [run["folder"] for run in document["runs"]] == ["many/0001", "many/0003"]
    assert "model's context of 512" in document["failed"][0]["error"]
    assert finished.stderr.startswith("eigencore: no trace of prompt 2 ('long long")
    assert sorted(p.name for p in Path("many").iterdir()) == ["0001", "0003"]


def test_trace_of_a_file_ends_with_3_where_no_prompt_can_be_traced(
    run_here: Callable[..., Finished], tmp_path: Path
) -> None:
    finished = run_here("trace", "--prompts", prompt_file(tmp_path, "long " * 600), "--out", "many")
    assert (finished.code, finished.stdout) == (3, "")
    assert not Path("many").exists()


def test_trace_of_a_file_generates_nothing_where_a_folder_stands_in_the_way(
    run_here: Callable[..., Finished], tmp_path: Path
) -> None:
    (tmp_path / "many" / "0002").mkdir(parents=True)
    command = ("trace", "--prompts", prompt_file(tmp_path, "One", "Two"), "--out", "many")
    finished = run_here(*command)
    assert finished.code == 3
    assert "many exists already and is not empty" in finished.stderr
    finished = run_here(*command, "--overwrite")
    assert finished.code == 3
    assert "no numbered run (0002)" in finished.stderr
    assert [p.name for p in Path("many").iterdir()] == ["0002"]


def test_overwriting_runs_leaves_none_of_the_earlier_ones(run_here: Callable[..., Finished], tmp_path: Path) -> None:
    options = ("--max-new-tokens", "1", "--out", "many", "--no-report")
    assert_done(run_here, "trace", "--prompts", prompt_file(tmp_path, "One", "Two", "Three"), *options)
    assert_done(run_here, "trace", "--prompts", prompt_file(tmp_path, "Four"), *options, "--overwrite")
    assert [p.name for p in Path("many").iterdir()] == ["0001"]
    assert load_trace("many/0001").prompt == "Four"


def test_a_failing_machine_leaves_an_account_of_what_was_done(
    run_here: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory_at_two(model: Any, prompt: str, **options: Any) -> Any:
        if prompt == "Two":
            raise MemoryError("no more")
        return synthetic_trace()

    monkeypatch.setattr("eigencore.tracing.trace_generation", out_of_memory_at_two)
    file = prompt_file(tmp_path, "One", "Two", "Three", "Four")
    finished = run_here("trace", "--prompts", file, "--out", "many", "--json", "--no-report")
    assert finished.code == 1
    document = json.loads(finished.stdout)
    assert [run["folder"] for run in document["runs"]] == ["many/0001"]
    assert document["failed"] == [{"number": 2, "prompt": "Two", "error": "no more"}]
    assert document["not_attempted"] == ["Three", "Four"]
    assert "2 prompts not attempted" in finished.stderr


@pytest.fixture
def signalled_at_token_5(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes this process send itself a signal when a trace has generated its fifth token."""
    from eigencore.tracing import trace_generation

    def arrange(number: int) -> None:
        def interrupted(*args: Any, progress: Any, **options: Any) -> Any:
            def advance(steps: int) -> None:
                progress(steps)
                if steps == 5:
                    os.kill(os.getpid(), number)

            return trace_generation(*args, progress=advance, **options)

        monkeypatch.setattr("eigencore.tracing.trace_generation", interrupted)

    return arrange


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_trace_is_saved_and_marked_partial(
    run_here: Callable[..., Finished], signalled_at_token_5: Callable[[int], None], number: int
) -> None:
    signalled_at_token_5(number)
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    finished = run_here("trace", PROMPT, "--out", "run")
    assert finished.code == 130
    trace = load_trace("run")
    assert (trace.num_steps, trace.stop_reason) == (5, "interrupted")
    assert summary_of(Path("run"))["stop_reason"] == "interrupted"
    assert Path("run/report.html").is_file()
    assert "5 tokens before the interruption" in finished.stdout
    assert finished.stderr == ""
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_an_interrupted_file_of_prompts_keeps_what_was_traced(
    run_here: Callable[..., Finished], signalled_at_token_5: Callable[[int], None], tmp_path: Path
) -> None:
    signalled_at_token_5(signal.SIGTERM)
    finished = run_here("trace", "--prompts", prompt_file(tmp_path, "One", "Two"), "--out", "many", "--json")
    assert finished.code == 130
    document = json.loads(finished.stdout)
    assert document["interrupted"] is True
    assert [run["stop_reason"] for run in document["runs"]] == ["interrupted"]
    assert document["not_attempted"] == ["Two"]
    assert [p.name for p in Path("many").iterdir()] == ["0001"]


def test_a_second_interruption_ends_the_trace_at_once(
    run_here: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted_twice(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on after the second signal")

    monkeypatch.setattr("eigencore.tracing.trace_generation", interrupted_twice)
    assert run_here("trace", PROMPT, "--out", "new/run").code == 130
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_while_the_model_loads_ends_the_program(
    run_here: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eigencore.models.load_source", lambda *a, **k: os.kill(os.getpid(), signal.SIGTERM))
    assert run_here("trace", PROMPT).code == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["write_table", "replace_text"])
def test_an_interruption_while_files_are_written_takes_nothing_away(
    run_here: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    where = {"write_table": "eigencore.tracing.trace", "replace_text": "eigencore.cli.trace_runs"}[moment]
    plain = getattr(importlib.import_module(where), moment)

    def interrupted(*args: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return plain(*args)

    monkeypatch.setattr(f"{where}.{moment}", interrupted)
    finished = run_here("trace", PROMPT, "--max-new-tokens", "2", "--out", "run")
    assert finished.code == 0  # all was done
    assert load_trace("run").stop_reason == "length"
    assert Path("run/report.html").is_file()


def test_a_process_that_is_told_to_end_saves_its_trace(tmp_path: Path) -> None:
    at_token_5 = """
import os, signal, eigencore.tracing as t
plain = t.trace_generation
def told(*args, progress, **options):
    def advance(steps):
        if steps == 5:
            os.kill(os.getpid(), signal.SIGTERM)
    return plain(*args, progress=advance, **options)
t.trace_generation = told
"""
    finished = run_program("trace", PROMPT, "--out", str(tmp_path / "run"), "--no-report", code=at_token_5 + PROGRAM)
    assert finished.code == 130
    assert (load_trace(tmp_path / "run").num_steps, finished.stderr) == (5, "")


def test_trace_saves_all_where_nobody_reads_its_output(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as broken:
        command = ("trace", PROMPT, "--max-new-tokens", "2", "--out", str(tmp_path / "run"), "--no-report")
        finished = run_program(*command, stdout=broken)
    assert (finished.code, finished.stderr) == (1, "")
    assert load_trace(tmp_path / "run").num_steps == 2
