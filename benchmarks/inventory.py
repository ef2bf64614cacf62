"""The service, telling what it holds: `benchmarks.soak` reads it.

    COUNTS=FILE python -m benchmarks.inventory

At SIGUSR1 the numbers are written to the file as JSON, those of objects by type among them.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from types import FrameType


def _tell(number: int, frame: FrameType | None) -> None:
    gc.unfreeze()  # what was there at start may have grown since
    gc.collect()
    kinds = Counter(f"{type(it).__module__}.{type(it).__qualname__}" for it in gc.get_objects())
    found = {
        "objects": kinds.total(),
        "tasks": kinds["_asyncio.Task"],
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "kinds": kinds,
    }
    path = Path(os.environ["COUNTS"])
    written = path.with_suffix(".new")
    written.write_text(json.dumps(found))
    written.replace(path)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _tell)
    from bff.__main__ import main

    main()
