"""Run folders: versioned Parquet and JSON, written whole or not at all."""

from eigencore.store.files import Schema, json_text, read_summary, read_table, replace_text, write_summary, write_table
from eigencore.store.run_folder import SUMMARY_NAME, is_run_folder, new_folder, new_run_folder

__all__ = [
    "SUMMARY_NAME",
    "Schema",
    "is_run_folder",
    "json_text",
    "new_folder",
    "new_run_folder",
    "read_summary",
    "read_table",
    "replace_text",
    "write_summary",
    "write_table",
]
