"""What the wheel depends on: what requirements.txt names, which stays the one list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Dependencies(MetadataHookInterface):
    """Called while the wheel is built; pyproject.toml names this file."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the dependencies to the project's metadata."""
        lines = Path(self.root, "requirements.txt").read_text("utf-8").splitlines()
        metadata["dependencies"] = [line for line in lines if line and not line.startswith("#")]
