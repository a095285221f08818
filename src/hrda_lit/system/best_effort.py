"""Files that a run can do without: where one cannot be written, the run goes on."""

import contextlib
import logging
from collections.abc import Iterator

log = logging.getLogger(__name__)


class BestEffort:
    """Warn once where files of one kind cannot be written, and go on.

    Args:
        what: names the files, e.g. "pictures".
    """

    def __init__(self, what: str) -> None:
        self.what, self._warned = what, False

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Leave out what cannot be written inside; every other error is raised."""
        try:
            yield
        except OSError as error:
            if not self._warned:
                log.warning("%s cannot be written, the run goes on without: %s", self.what, error)
            self._warned = True
