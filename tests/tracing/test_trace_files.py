from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from eigencore.errors import SchemaError, StoreError, UnreadableRunError
from eigencore.store import Schema
from eigencore.tracing import Trace, load_trace
from tests.synthetic_trace import HEADS, LAYERS, METRIC_NAMES, PROMPT_TOKENS, ROW_NAMES, synthetic_trace

P = len(PROMPT_TOKENS)
SINGULAR_COLUMNS = [f"singular.{name}" for name in (*METRIC_NAMES, "stable_rank")]


@pytest.fixture(scope="module")
def trace() -> Trace:
    return synthetic_trace()


@pytest.fixture(scope="module")
def run(trace: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the trace in it; tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    trace.save(folder)
    return folder


def strictly_loaded(path: Path) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def assert_same_trace(found: Trace, expected: Trace) -> None:
    for field in dataclasses.fields(Trace):
        got, want = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(want, np.ndarray):
            np.testing.assert_array_equal(got, want, err_msg=field.name)
            continue
        if field.name not in ("metrics", "singular_metrics", "rows", "signals"):
            assert got == want, field.name
            continue
        assert list(got) == list(want)
        for name, values in want.items():
            assert got[name].dtype == values.dtype, name
            np.testing.assert_array_equal(got[name], values, err_msg=name)


@pytest.mark.parametrize(
    "options", [{}, {"loop": False}, {"prompt_size": 1}], ids=["with a loop", "without a loop", "prompt of one token"]
)
def test_save_and_load_trace_round_trip_exactly(tmp_path: Path, options: dict[str, Any]) -> None:
    trace = synthetic_trace(**options)
    trace.save(tmp_path / "run")
    assert_same_trace(load_trace(tmp_path / "run"), trace)
    assert_same_trace(load_trace(str(tmp_path / "run")), trace)


def test_loaded_trace_saves_to_the_same_trace(run: Path, trace: Trace, tmp_path: Path) -> None:
    load_trace(run).save(tmp_path / "again")
    assert_same_trace(load_trace(tmp_path / "again"), trace)


def test_saved_table_has_a_row_for_each_row_layer_and_head(run: Path, trace: Trace) -> None:
    table = pq.read_table(run / "trace.parquet").to_pydict()
    R = P + trace.num_steps - 1
    keys = list(zip(table["row"], table["layer"], table["head"], strict=True))
    assert sorted(keys) == [(r, layer, h) for r in range(R) for layer in range(LAYERS) for h in range(HEADS)]
    assert [s for s, r in zip(table["step"], table["row"], strict=True)] == [
        None if r < P - 1 else r - (P - 1) for r in table["row"]
    ]


def test_saved_table_holds_the_numbers_under_their_names(run: Path, trace: Trace) -> None:
    table = pq.read_table(run / "trace.parquet").to_pydict()
    for i, (step, row, layer, head) in enumerate(
        zip(table["step"], table["row"], table["layer"], table["head"], strict=True)
    ):
        for name in ROW_NAMES:
            assert table[name][i] == trace.rows[name][row, layer, head]
        for name in METRIC_NAMES:
            stored = table[f"eigen.{name}"][i]
            if step is None or step % trace.settings["every"]:
                assert stored is None
            else:
                np.testing.assert_equal(stored, trace.metrics[name][step, layer, head])


def test_saved_table_has_the_columns_that_readers_rely_on(run: Path) -> None:
    columns = pq.read_schema(run / "trace.parquet").names
    eigen = {f"eigen.{name}" for name in METRIC_NAMES}
    assert set(columns) == {"row", "step", "layer", "head", *ROW_NAMES, *SINGULAR_COLUMNS} | eigen
    assert {"self_weight", "log_self_weight", "eigen.spectral_entropy"} <= set(columns)


def test_saved_files_name_their_schema(run: Path) -> None:
    metadata = pq.read_metadata(run / "trace.parquet").metadata
    assert metadata[b"eigencore.schema"] == b"eigencore.trace"
    assert metadata[b"eigencore.schema_version"] == b"2.0"
    assert strictly_loaded(run / "summary.json")["schema"] == {"name": "eigencore.trace", "version": "2.0"}


def test_saved_summary_is_strict_json_with_null_for_nan(run: Path, trace: Trace) -> None:
    summary = strictly_loaded(run / "summary.json")
    assert summary["signals"]["repetition_4gram"][:3] == [None] * 3
    assert summary["layer_means"]["log_abs_det"][1] is not None
    assert summary["text"] == trace.text == "".join(trace.tokens)
    assert summary["num_steps"] == len(trace.tokens)
    assert summary["loop"] == {
        "first_copy_step": 8,
        "onset_step": 11,
        "period": 3,
        "copies": 4,
        "text": " round & '<i>'",
    }


def test_saved_summary_of_a_text_without_loop_says_null(tmp_path: Path) -> None:
    synthetic_trace(loop=False).save(tmp_path / "run")
    assert strictly_loaded(tmp_path / "run" / "summary.json")["loop"] is None


def test_layer_means_leave_out_what_is_not_finite(trace: Trace) -> None:
    means = trace.layer_means()
    assert set(means) == {*METRIC_NAMES, *SINGULAR_COLUMNS, *ROW_NAMES}
    for name in ("spectral_entropy", "condition_number", "log_abs_det"):
        for layer in range(LAYERS):
            finite = [float(x) for x in trace.metrics[name][:, layer].flat if math.isfinite(x)]
            assert means[name][layer] == pytest.approx(math.fsum(finite) / len(finite), rel=1e-14)


def test_layer_means_of_row_metrics_are_of_the_rows_that_generated(trace: Trace) -> None:
    new = trace.rows["sink_weight"][P - 1 :].astype(np.float64)
    for layer in range(LAYERS):
        assert trace.layer_means()["sink_weight"][layer] == pytest.approx(new[:, layer].mean(), rel=1e-6)


def test_layer_means_are_nan_where_nothing_is_finite() -> None:
    trace = synthetic_trace()
    trace.metrics["log_abs_det"][:, 0] = -np.inf
    assert math.isnan(trace.layer_means()["log_abs_det"][0])


@pytest.mark.parametrize("step", [0, 1, 20])
def test_eigenvalues_are_the_self_weights_up_to_the_step(run: Path, step: int) -> None:
    trace = load_trace(run)
    found = trace.eigenvalues(step)
    assert found.shape == (P + step, LAYERS, HEADS)
    assert found.dtype == np.float64
    assert (found[0] == 1).all()
    np.testing.assert_allclose(found, trace.rows["self_weight"][: P + step], rtol=1e-5, atol=np.finfo(np.float32).tiny)


def test_eigenvalues_do_not_underflow_where_the_weight_does(trace: Trace) -> None:
    assert trace.rows["self_weight"][1, 0, 1] == 0
    assert trace.eigenvalues(0)[1, 0, 1] == pytest.approx(math.exp(-200), rel=1e-12)


@pytest.mark.parametrize("step", [-1, 21, 1000])
def test_eigenvalues_refuse_a_step_that_is_not_there(trace: Trace, step: int) -> None:
    with pytest.raises(IndexError, match=str(step)):
        trace.eigenvalues(step)


def test_to_pandas_has_a_row_for_each_step_layer_and_head(trace: Trace) -> None:
    frame = trace.to_pandas()
    assert len(frame) == trace.num_steps * LAYERS * HEADS
    assert list(frame.columns) == ["step", "token", "layer", "head", *METRIC_NAMES, *SINGULAR_COLUMNS, *ROW_NAMES]
    assert not frame.duplicated(["step", "layer", "head"]).any()
    indexed = frame.set_index(["step", "layer", "head"])
    for step, layer, head in [(0, 0, 0), (2, 1, 0), (7, 1, 2), (trace.num_steps - 1, 0, 1)]:
        line = indexed.loc[(step, layer, head)]
        assert line["token"] == trace.tokens[step]
        np.testing.assert_equal(line["condition_number"], trace.metrics["condition_number"][step, layer, head])
        assert line["self_weight"] == trace.rows["self_weight"][P - 1 + step, layer, head]


def test_save_refuses_an_earlier_run_and_replaces_it_when_asked(tmp_path: Path) -> None:
    synthetic_trace().save(tmp_path / "run")
    other = synthetic_trace(loop=False)
    with pytest.raises(StoreError, match="exists already"):
        other.save(tmp_path / "run")
    assert load_trace(tmp_path / "run").loop is not None
    other.save(tmp_path / "run", overwrite=True)
    assert_same_trace(load_trace(tmp_path / "run"), other)


def test_save_leaves_nothing_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *args: Any, **kwargs: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StoreError, match="No space left on device"):
        synthetic_trace().save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def edited_summary(run: Path, folder: Path, edit: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of a run folder whose summary.json was changed by hand."""
    folder.mkdir()
    (folder / "trace.parquet").write_bytes((run / "trace.parquet").read_bytes())
    summary = strictly_loaded(run / "summary.json")
    edit(summary)
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


def test_load_trace_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        load_trace(tmp_path / "nowhere")


@pytest.mark.parametrize("missing", ["trace.parquet", "summary.json"])
def test_load_trace_refuses_a_folder_with_a_file_missing(run: Path, tmp_path: Path, missing: str) -> None:
    folder = edited_summary(run, tmp_path / "run", lambda summary: None)
    (folder / missing).unlink()
    with pytest.raises(StoreError, match=missing):
        load_trace(folder)


def test_load_trace_refuses_another_major_version(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("eigencore.tracing.trace.TRACE_SCHEMA", Schema("eigencore.trace", 3, 0))
        synthetic_trace().save(tmp_path / "run")
        with pytest.raises(SchemaError, match=r"version 2\.0"):
            load_trace(run)
    with pytest.raises(SchemaError, match=r"version 3\.0"):
        load_trace(tmp_path / "run")


def test_load_trace_reads_a_newer_minor_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("eigencore.tracing.trace.TRACE_SCHEMA", Schema("eigencore.trace", 2, 7))
        synthetic_trace().save(tmp_path / "run")
    assert_same_trace(load_trace(tmp_path / "run"), synthetic_trace())


def add_to_the_newer_minor(summary: dict[str, Any]) -> None:
    summary["schema"]["version"] = "2.1"
    summary["later_invention"] = {"x": 1}


def test_load_trace_ignores_what_a_newer_minor_version_adds(run: Path, tmp_path: Path, trace: Trace) -> None:
    assert_same_trace(load_trace(edited_summary(run, tmp_path / "run", add_to_the_newer_minor)), trace)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda s: s.pop("tokens"), id="no tokens"),
        pytest.param(lambda s: s.pop("model"), id="no model"),
        pytest.param(lambda s: s["model"].update(num_attention_heads=4), id="another number of heads"),
        pytest.param(lambda s: s["model"].update(num_hidden_layers="two"), id="layers in words"),
        pytest.param(lambda s: s["loop"].pop("period"), id="half a loop"),
        pytest.param(lambda s: s.update(signals=None), id="no signals"),
        pytest.param(lambda s: s["token_ids"].pop(), id="a token too few"),
        pytest.param(lambda s: s["prompt_token_ids"].append(1), id="a prompt token too many"),
        pytest.param(lambda s: s["signals"]["surprisal"].pop(), id="a signal cut short"),
        pytest.param(lambda s: s["signals"].pop("margin"), id="a signal missing"),
        pytest.param(lambda s: s["settings"].pop("overridden"), id="nothing overridden"),
        pytest.param(lambda s: s["model"].pop("name"), id="a model without a name"),
        pytest.param(lambda s: s["settings"].update(every=0), id="every 0th step"),
        pytest.param(lambda s: s["model"].update(num_parameters="many"), id="parameters in words"),
        pytest.param(lambda s: s.update(tokens=[1] * len(s["tokens"])), id="tokens that are no texts"),
        pytest.param(lambda s: s.update(versions=None), id="no versions"),
        pytest.param(lambda s: s["loop"].update(onset_step=99), id="a loop behind the end"),
        pytest.param(lambda s: s["top_tokens"][3].pop(), id="a next token too few"),
    ],
)
def test_load_trace_refuses_files_that_do_not_fit_together(
    run: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], Any]
) -> None:
    with pytest.raises(StoreError, match="damaged"):
        load_trace(edited_summary(run, tmp_path / "run", edit))


def without(name: str) -> Callable[[Any], Any]:
    return lambda table: table.drop_columns([name])


def as_text(name: str) -> Callable[[Any], Any]:
    def convert(table: Any) -> Any:
        at = table.schema.get_field_index(name)
        return table.set_column(at, name, table.column(name).cast("string"))

    return convert


@pytest.mark.parametrize(
    "edit",
    [
        *(without(name) for name in ("row", "step", "head", "row_entropy", "eigen.degeneracy", "singular.stable_rank")),
        *(as_text(name) for name in ("layer", "self_weight", "eigen.spectral_entropy")),
        lambda table: table.slice(1),
        lambda table: table.slice(0, 0),
    ],
)
def test_load_trace_refuses_a_table_that_is_not_whole(run: Path, tmp_path: Path, edit: Callable[[Any], Any]) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    table = pq.read_table(folder / "trace.parquet")
    pq.write_table(edit(table).replace_schema_metadata(table.schema.metadata), folder / "trace.parquet")
    with pytest.raises(UnreadableRunError, match="damaged"):
        load_trace(folder)


@pytest.mark.parametrize(
    "key", [key for key in synthetic_trace().summary() if key not in ("num_steps", "layer_means", "text")]
)
def test_load_trace_refuses_a_summary_without(run: Path, tmp_path: Path, key: str) -> None:
    with pytest.raises(UnreadableRunError, match="damaged"):
        load_trace(edited_summary(run, tmp_path / "run", lambda summary: summary.pop(key)))
