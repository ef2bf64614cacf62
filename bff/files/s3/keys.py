"""The keys of files in a bucket.

    PREFIX OWNER/records/NEWEST-FIRST     what is known of a file, JSON: written last, deleted first
    PREFIX OWNER/content/FILE             its bytes
    PREFIX OWNER/sessions/SESSION/FILE    empty: the session uses the file
    PREFIX OWNER/uses/FILE/SESSION        the same, to be asked from the other side

A bucket lists keys in their order, so a record's name is the id's complement: the newest is first.
Every key begins with the owner's digest, and nothing else decides whose a file is.
"""

from __future__ import annotations

from bff.files.stored import FILE_ID, OWNER, session_mark

_ALL = 16**32 - 1


class Keys:
    """The keys of one owner."""

    def __init__(self, prefix: str, owner: str) -> None:
        if not OWNER.fullmatch(owner):
            raise ValueError("not a principal's digest")
        self._owned = f"{prefix}{owner}/"

    @property
    def records(self) -> str:
        return f"{self._owned}records/"

    @property
    def contents(self) -> str:
        return f"{self._owned}content/"

    def record(self, file_id: str) -> str:
        return f"{self.records}{_ALL - int(_digits(file_id), 16):032x}"

    def file_of(self, record: str) -> str:
        """The id of the file whose record this is."""
        return f"file-{_ALL - int(record.removeprefix(self.records), 16):032x}"

    def content(self, file_id: str) -> str:
        return self.contents + _digits(file_id)

    def session(self, session_id: str) -> str:
        """Where the files of a session are noted."""
        return f"{self._owned}sessions/{session_mark(session_id)}/"

    def uses(self, file_id: str) -> str:
        """Where the sessions of a file are noted."""
        return f"{self._owned}uses/{_digits(file_id)}/"

    def marks(self, file_id: str, session_id: str) -> tuple[str, str]:
        """Both notes of a session's using a file."""
        return (
            self.uses(file_id) + session_mark(session_id),
            self.session(session_id) + _digits(file_id),
        )


def _digits(file_id: str) -> str:
    if not FILE_ID.fullmatch(file_id):
        raise ValueError("not a file's id")
    return file_id.removeprefix("file-")
