"""Write checkpoints beside the old one, then rename."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from hrda_lit.system.files import replacing


class WholeFiles(TorchCheckpointIO):
    """Write checkpoints atomically: a crash or a full disk leaves the old one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write `checkpoint`.

        Raises:
            OSError: if it cannot be written; what was there is kept.
        """
        with replacing(Path(path)) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # what torch makes of a full disk
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise OSError(str(error).splitlines()[0].rstrip(".")) from error
