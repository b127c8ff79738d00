from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eigencore.errors import SchemaError, StoreError
from eigencore.store import Schema, read_summary, read_table, write_summary, write_table

SCHEMA = Schema("eigencore.example", 3, 4)


def write_example(path: Path, schema: Schema) -> None:
    if path.suffix == ".json":
        write_summary(path, {"x": [1.0, 2.0, 3.0]}, schema)
    else:
        write_table(path, {"x": np.array([1.0, 2.0, 3.0])}, schema)


def read_example(path: Path, schema: Schema) -> list[float]:
    found = read_summary(path, schema) if path.suffix == ".json" else read_table(path, schema)
    return list(found["x"])


def strictly_loaded(path: Path) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.mark.parametrize("name", ["a.parquet", "a.json"])
def test_files_are_read_back(tmp_path: Path, name: str) -> None:
    write_example(tmp_path / name, SCHEMA)
    assert read_example(tmp_path / name, SCHEMA) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("name", ["a.parquet", "a.json"])
@pytest.mark.parametrize("minor", [0, 3, 5, 10])
def test_files_of_another_minor_version_are_read(tmp_path: Path, name: str, minor: int) -> None:
    write_example(tmp_path / name, Schema(SCHEMA.name, SCHEMA.major, minor))
    assert read_example(tmp_path / name, SCHEMA) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("name", ["a.parquet", "a.json"])
@pytest.mark.parametrize("major", [0, 2, 4, 30, 31])
def test_files_of_another_major_version_are_refused(tmp_path: Path, name: str, major: int) -> None:
    write_example(tmp_path / name, Schema(SCHEMA.name, major, 4))
    with pytest.raises(SchemaError, match=rf"{name} is of eigencore\.example version {major}\.4.*reads version 3\.x"):
        read_example(tmp_path / name, SCHEMA)


@pytest.mark.parametrize("name", ["a.parquet", "a.json"])
def test_files_of_another_schema_are_refused(tmp_path: Path, name: str) -> None:
    write_example(tmp_path / name, Schema("eigencore.other", 3, 4))
    with pytest.raises(SchemaError, match=rf"{name} holds 'eigencore\.other', expected 'eigencore\.example'"):
        read_example(tmp_path / name, SCHEMA)


def test_read_table_refuses_a_parquet_of_somebody_else(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match=r"a\.parquet"):
        read_table(tmp_path / "a.parquet", SCHEMA)


@pytest.mark.parametrize("text", ["{}", "[]", "3", "null", '{"schema": "eigencore.example"}', '{"schema": null}'])
def test_read_summary_refuses_a_json_of_somebody_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SchemaError, match=r"a\.json names no schema"):
        read_summary(tmp_path / "a.json", SCHEMA)


@pytest.mark.parametrize("name", ["a.parquet", "a.json"])
def test_files_that_are_not_there_are_a_store_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match=f"cannot read .*{name}"):
        read_example(tmp_path / name, SCHEMA)


@pytest.mark.parametrize("name", ["a.parquet", "a.json"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"", id="emptied"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut in half"),
        pytest.param(lambda data: data[:-4], id="cut at the end"),
        pytest.param(lambda data: b"\xff\xfe" + data, id="shifted"),
        pytest.param(lambda data: bytes(len(data)), id="zeroed"),
    ],
)
def test_damaged_files_are_a_store_error(tmp_path: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    write_example(path, SCHEMA)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreError, match=name):
        read_example(path, SCHEMA)


def with_a_flipped_bit(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]


def test_read_table_raises_nothing_but_store_errors_on_flipped_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_example(path, SCHEMA)
    intact = path.read_bytes()
    refused = 0
    for position in range(len(intact)):
        path.write_bytes(with_a_flipped_bit(intact, position))
        try:
            read_table(path, SCHEMA)
        except StoreError:
            refused += 1
    assert refused > 0


def test_read_table_refuses_numbers_with_a_flipped_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(path, {"x": np.random.default_rng(0).normal(size=50)}, SCHEMA)
    intact = path.read_bytes()
    chunk = pq.read_metadata(path).row_group(0).column(0)
    end = chunk.data_page_offset + chunk.total_compressed_size
    for position in range(end - 200, end):
        path.write_bytes(with_a_flipped_bit(intact, position))
        with pytest.raises(StoreError, match=r"a\.parquet"):
            read_table(path, SCHEMA)


def test_write_table_puts_the_schema_into_the_metadata(tmp_path: Path) -> None:
    write_example(tmp_path / "a.parquet", SCHEMA)
    metadata = pq.read_metadata(tmp_path / "a.parquet").metadata
    assert metadata[b"eigencore.schema"] == b"eigencore.example"
    assert metadata[b"eigencore.schema_version"] == b"3.4"


def test_write_summary_puts_the_schema_in_front(tmp_path: Path) -> None:
    write_example(tmp_path / "a.json", SCHEMA)
    document = strictly_loaded(tmp_path / "a.json")
    assert next(iter(document)) == "schema"
    assert document["schema"] == {"name": "eigencore.example", "version": "3.4"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.int16])
def test_tables_round_trip_exactly(tmp_path_factory: pytest.TempPathFactory, dtype: type[np.generic]) -> None:
    bits = np.random.default_rng(1).integers(0, 256, 8 * 500, dtype=np.uint8).view(dtype)
    extremes = np.array([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308])
    with np.errstate(over="ignore"):
        special = extremes.astype(dtype) if np.issubdtype(dtype, np.floating) else np.array([0], dtype)
    column = np.concatenate((bits, special))
    path = tmp_path_factory.mktemp("table") / "a.parquet"
    write_table(path, {"first": column, "second": column[::-1]}, SCHEMA)
    found = read_table(path, SCHEMA)
    assert list(found) == ["first", "second"]
    assert found["first"].dtype == dtype
    np.testing.assert_array_equal(found["first"].view(np.uint8), column.view(np.uint8))
    np.testing.assert_array_equal(found["second"], column[::-1])


def test_tables_keep_masked_values_apart_from_nan(tmp_path: Path) -> None:
    column = pa.array(np.array([1.0, math.nan, 3.0]), mask=np.array([True, False, False]))
    write_table(tmp_path / "a.parquet", {"x": column}, SCHEMA)
    stored = pq.read_table(tmp_path / "a.parquet").column("x")
    assert stored.is_null().to_pylist() == [True, False, False]
    np.testing.assert_array_equal(read_table(tmp_path / "a.parquet", SCHEMA)["x"], [math.nan, math.nan, 3.0])


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_summaries_round_trip_floats_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.getbasetemp() / "floats.json"
    write_summary(path, {"values": values, "again": {"deep": [values]}}, SCHEMA)
    found = read_summary(path, SCHEMA)
    assert list(map(repr, found["values"])) == list(map(repr, values))
    assert found["again"] == {"deep": [values]}


@given(text=st.text())
def test_summaries_round_trip_texts_exactly(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "texts.json"
    write_summary(path, {"text": text, "texts": [text]}, SCHEMA)
    found = read_summary(path, SCHEMA)
    assert (found["text"], found["texts"]) == (text, [text])


def test_write_summary_turns_what_json_lacks_into_null(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    numbers = [1.5, math.nan, math.inf, -math.inf]
    write_summary(path, {"top": math.nan, "list": numbers, "deep": {"tuple": tuple(numbers)}}, SCHEMA)
    document = strictly_loaded(path)
    assert document["top"] is None
    assert document["list"] == document["deep"]["tuple"] == [1.5, None, None, None]


def test_write_summary_keeps_other_values_as_they_are(tmp_path: Path) -> None:
    summary = {"none": None, "true": True, "int": 2**60, "text": "“漢字” 😀", "empty": [], "nothing": {}}
    write_summary(tmp_path / "a.json", summary, SCHEMA)
    found = strictly_loaded(tmp_path / "a.json")
    del found["schema"]
    assert found == summary
    assert found["true"] is True
    assert "漢字" in (tmp_path / "a.json").read_text(encoding="utf-8")
