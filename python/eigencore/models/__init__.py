"""Models by name, path or hub id, and where their weights come from."""

from eigencore.models.loading import ModelSource, load_model, load_source, locate_model

__all__ = ["ModelSource", "load_model", "load_source", "locate_model"]
