"""The two kinds of file in a run folder, each carrying the name and version of its schema."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eigencore.errors import SchemaError, StoreError, UnreadableRunError

if TYPE_CHECKING:
    from pathlib import Path

_NAME_KEY, _VERSION_KEY = b"eigencore.schema", b"eigencore.schema_version"


@dataclass(frozen=True)
class Schema:
    """What a file holds. A reader takes any minor version of the major version it knows."""

    name: str
    major: int
    minor: int

    @property
    def version(self) -> str:
        return f"{self.major}.{self.minor}"

    def check(self, name: object, version: object, path: Path) -> None:
        """Raises SchemaError unless a file with this name and version can be read as this schema."""
        if name != self.name:
            raise SchemaError(f"{path} holds {name!r}, expected {self.name!r}")
        major = str(version).split(".")[0]
        if major != str(self.major):
            raise SchemaError(
                f"{path} is of {self.name} version {version}; this eigencore reads version {self.major}.x: "
                "install the eigencore that wrote it, or a newer one"
            )


def write_table(path: Path, columns: Mapping[str, Any], schema: Schema) -> None:
    """Writes columns of equal length as Parquet: zstd, floats split by byte, schema in the file's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(dict(columns))
    floats = [f.name for f in table.schema if pa.types.is_floating(f.type)]
    table = table.replace_schema_metadata({_NAME_KEY: schema.name, _VERSION_KEY: schema.version})
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        use_byte_stream_split=floats,
        write_page_checksum=True,
    )


def read_table(path: Path, schema: Schema) -> dict[str, Any]:
    """Column name -> numpy array.

    Raises:
        SchemaError: of another schema or an unknown major version.
        UnreadableRunError: not there or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, page_checksum_verification=True)
        metadata = {key: value.decode() for key, value in (table.schema.metadata or {}).items()}
        columns = {name: table.column(name).to_numpy() for name in table.column_names}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UnreadableRunError(f"cannot read {path}: {_first_line(error)}") from error
    schema.check(metadata.get(_NAME_KEY), metadata.get(_VERSION_KEY), path)
    return columns


def write_summary(path: Path, summary: Mapping[str, Any], schema: Schema) -> None:
    """Writes JSON with the schema in front, one key a line; NaN and infinities become null, since JSON has neither."""
    document = {"schema": {"name": schema.name, "version": schema.version}, **summary}
    lines = (f"{json_text(key)}: {json_text(value)}" for key, value in document.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_summary(path: Path, schema: Schema) -> dict[str, Any]:
    """The JSON that write_summary wrote.

    Raises:
        SchemaError: of another schema or an unknown major version.
        UnreadableRunError: not there or damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableRunError(f"cannot read {path}: {_first_line(error)}") from error
    found = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise SchemaError(f"{path} names no schema; is it from a run folder of eigencore?")
    schema.check(found.get("name"), found.get("version"), path)
    return dict(document)


def json_text(value: object) -> str:
    """One line of strict JSON; NaN and infinities become null."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def replace_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all, in the place of one that is there.

    Raises:
        StoreError: it cannot be written.
    """
    work = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        work.write_text(text, encoding="utf-8")
        work.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            work.unlink(missing_ok=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
