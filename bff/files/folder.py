"""What lies in the folder of `bff/files/local.py`, and every step on the disk; all of it blocks.

    OWNER/FILE/content record.json sessions/    a file; `sessions` has an empty file for each user
    incoming/FILE.…/content record.json         one being written: it moves into its place whole
    trash/FILE.…                                one being deleted: it moves away whole

Moving a folder is one step that no reader and no other process sees half of.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from bff.errors import Forbidden, NotFound
from bff.files.stored import (
    FILE_ID,
    OWNER,
    StoredFile,
    file_of,
    has_expired,
    record_of,
    session_mark,
)

LEFT_OVER_SECONDS = 86_400.0
"""From when on what is incoming, or trash, is a dead process's."""


class Folder:
    """Files by owner in one folder of the disk."""

    def __init__(self, path: Path, retention_seconds: float) -> None:
        self._path = path
        self._retention_seconds = retention_seconds

    def __repr__(self) -> str:
        return str(self._path)

    def make(self) -> None:
        """Make the folder if need be, and write something; raises `OSError` where that fails."""
        for name in ("incoming", "trash"):
            (self._path / name).mkdir(parents=True, exist_ok=True)
        self.check()

    def check(self) -> None:
        """Raise `OSError` if nothing can be written: a full disk still takes an empty file."""
        probe = self._path / "incoming" / f"probe.{secrets.token_hex(8)}"
        try:
            probe.write_bytes(b"probe")
        finally:
            probe.unlink(missing_ok=True)

    def secret(self) -> bytes:
        """32 bytes made once, so that all processes and restarts agree on them."""
        path = self._path / "addresses.key"
        made = path.with_suffix(f".{secrets.token_hex(8)}")
        if not path.exists():
            made.touch(0o600)
            made.write_bytes(secrets.token_bytes(32))
            with contextlib.suppress(FileExistsError):
                os.link(made, path)  # whole or not at all, and the first one wins
            made.unlink()
        return path.read_bytes()

    def incoming(self, owner: str, file_id: str) -> Incoming:
        return Incoming(
            self._path / "incoming" / f"{file_id}.{secrets.token_hex(8)}",
            self._place(owner, file_id),
            self._trash(file_id),
        )

    def get(self, owner: str, file_id: str) -> StoredFile | None:
        place = self._place(owner, file_id)
        if has_expired(file_id, self._retention_seconds):
            return None
        try:
            record = json.loads((place / "record.json").read_bytes())
        except FileNotFoundError:
            return None
        return file_of(file_id, record, self._retention_seconds)

    def outgoing(self, owner: str, file_id: str, first: int) -> Outgoing:
        return Outgoing(self._place(owner, file_id) / "content", first)

    def page(self, owner: str, limit: int, after: str | None) -> tuple[Sequence[StoredFile], bool]:
        found: list[StoredFile] = []
        for file_id in sorted(self._ids(owner), reverse=True):
            if after is None or file_id < after:
                if len(found) == limit:
                    return found, True
                if file := self.get(owner, file_id):
                    found.append(file)
        return found, False

    def measure(self, owner: str) -> tuple[int, int]:
        """How many files the owner has, and their bytes."""
        files = size_bytes = 0
        for file_id in self._ids(owner):
            with contextlib.suppress(FileNotFoundError):
                size_bytes += (self._place(owner, file_id) / "content").stat().st_size
                files += 1
        return files, size_bytes

    def delete(self, owner: str, file_id: str) -> bool:
        trash = self._trash(file_id)
        try:
            self._place(owner, file_id).rename(trash)
        except FileNotFoundError:
            return False
        shutil.rmtree(trash, ignore_errors=True)
        return True

    def mark(self, owner: str, file_ids: Collection[str], session_id: str) -> None:
        for file_id in file_ids:
            sessions = self._place(owner, file_id) / "sessions"
            with contextlib.suppress(FileNotFoundError):
                sessions.mkdir(exist_ok=True)
                (sessions / session_mark(session_id)).touch()

    def forget(self, owner: str, session_id: str) -> bool:
        mark, used = session_mark(session_id), False
        for file_id in list(self._ids(owner)):
            sessions = self._place(owner, file_id) / "sessions"
            with contextlib.suppress(FileNotFoundError):
                (sessions / mark).unlink()
                used = True
                if not any(sessions.iterdir()):
                    self.delete(owner, file_id)
        return used

    def sweep(self) -> int:
        """Delete what has expired and what dead processes left; how many files that were."""
        swept = 0
        for folder in list(self._path.iterdir()):
            if OWNER.fullmatch(folder.name):
                for file_id in list(self._ids(folder.name)):
                    if has_expired(file_id, self._retention_seconds):
                        self.delete(folder.name, file_id)
                        swept += 1
                with contextlib.suppress(OSError):
                    folder.rmdir()  # if it is empty
        for name in ("incoming", "trash"):
            for left in list((self._path / name).iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime > LEFT_OVER_SECONDS:
                        shutil.rmtree(left, ignore_errors=True)
        return swept

    def _ids(self, owner: str) -> Iterator[str]:
        try:
            with os.scandir(self._owned(owner)) as entries:
                yield from (entry.name for entry in entries if FILE_ID.fullmatch(entry.name))
        except FileNotFoundError:
            return

    def _owned(self, owner: str) -> Path:
        if not OWNER.fullmatch(owner):
            raise ValueError("not a principal's digest")
        return self._path / owner

    def _place(self, owner: str, file_id: str) -> Path:
        if not FILE_ID.fullmatch(file_id):
            raise ValueError("not a file's id")
        return self._owned(owner) / file_id

    def _trash(self, file_id: str) -> Path:
        return self._path / "trash" / f"{file_id}.{secrets.token_hex(8)}"


class Incoming:
    """A file being written. A lock keeps its steps apart, whichever threads they run in."""

    def __init__(self, path: Path, place: Path, trash: Path) -> None:
        self._path = path
        self._place = place
        self._trash = trash
        self._lock = threading.Lock()
        self._content: BinaryIO | None = None
        self._placed = False
        self._over = False

    def write(self, pieces: Sequence[bytes]) -> None:
        with self._lock:
            if self._over:
                return
            if self._content is None:
                self._path.mkdir()
                self._content = (self._path / "content").open("wb")
            self._content.writelines(pieces)

    def finish(self, file: StoredFile) -> None:
        """Move it into its place; raises `Forbidden` if there is one already."""
        with self._lock:
            if self._over or self._content is None:
                raise FileNotFoundError(self._path)
            self._content.close()
            (self._path / "record.json").write_text(json.dumps(record_of(file)))
            for _ in range(3):
                self._place.parent.mkdir(exist_ok=True)
                try:
                    self._path.rename(self._place)
                    self._placed = True
                    return
                except FileNotFoundError:
                    continue  # a sweep took the owner's folder for empty
                except OSError as error:
                    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                        raise Forbidden.of("policy", "has been used") from None
                    raise

    def abort(self) -> None:
        """Remove it, from its place too if nobody has been told that it is there."""
        with self._lock:
            if self._over:
                return
            self._over = True
            if self._content is not None:
                self._content.close()
            if self._placed:
                with contextlib.suppress(FileNotFoundError):
                    self._place.rename(self._trash)
            for left in (self._path, self._trash):
                shutil.rmtree(left, ignore_errors=True)


class Outgoing:
    """A file being read from some byte on; it stays readable if it is deleted meanwhile."""

    def __init__(self, path: Path, first: int) -> None:
        self._path = path
        self._first = first
        self._lock = threading.Lock()
        self._content: BinaryIO | None = None
        self._over = False

    def read(self, size: int) -> bytes:
        """The next bytes, none at the end; raises `NotFound` if there is no such file."""
        with self._lock:
            if self._over:
                return b""
            if self._content is None:
                try:
                    self._content = self._path.open("rb", buffering=0)
                except FileNotFoundError:
                    raise NotFound from None
                self._content.seek(self._first)
            return self._content.read(size)

    def close(self) -> None:
        with self._lock:
            self._over = True
            if self._content is not None:
                self._content.close()
