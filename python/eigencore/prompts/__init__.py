"""Prompts: readers of prompt files."""

from eigencore.prompts.prompt_file import read_prompts

__all__ = ["read_prompts"]
