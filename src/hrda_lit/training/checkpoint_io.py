"""Write checkpoints next to the old one, then rename."""

from pathlib import Path
from typing import Any

from lightning.fabric.plugins import TorchCheckpointIO

from hrda_lit.system.torch_files import write_torch_file


class WholeFiles(TorchCheckpointIO):
    """Write checkpoints atomically: a crash or a full disk leaves the old one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint; for errors see `write_torch_file`."""
        write_torch_file(Path(path), checkpoint)
