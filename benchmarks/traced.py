"""The service, tracing what memory it holds: `benchmarks.calls` reads it.

    COUNTS=FILE python -m benchmarks.traced

At SIGUSR1 the bytes that are held are written to the file.
"""

from __future__ import annotations

import gc
import os
import signal
import tracemalloc
from pathlib import Path
from types import FrameType


def _tell(number: int, frame: FrameType | None) -> None:
    gc.collect()
    path = Path(os.environ["COUNTS"])
    written = path.with_suffix(".new")
    written.write_text(str(tracemalloc.get_traced_memory()[0]))
    written.replace(path)


if __name__ == "__main__":
    tracemalloc.start()
    signal.signal(signal.SIGUSR1, _tell)
    from bff.__main__ import main

    main()
