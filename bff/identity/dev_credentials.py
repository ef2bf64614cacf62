"""Credentials for a machine that has none: made up once, kept beside the data, `local` only.

They let `make run` print a call that works, and `python -m bff token` sign a token that a running
service takes. Outside `ENVIRONMENT=local` nothing is ever made up.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import replace
from pathlib import Path

from bff.settings import ApiKey, Settings, SqliteHistory

KEY_NAME = "local"


def with_dev_credentials(settings: Settings) -> Settings:
    """The settings with a made-up key and secret, if they are local and have no credentials."""
    if not settings.local or settings.has_credentials:
        return settings
    made = _kept(_place(settings))
    return replace(
        settings,
        jwt_secrets=(made["jwt_secret"],),
        api_keys=(ApiKey(KEY_NAME, hashlib.sha256(made["key"].encode()).hexdigest()),),
        made_up_key=made["key"],
    )


def _place(settings: Settings) -> Path:
    path = settings.history.path if isinstance(settings.history, SqliteHistory) else "data/bff.db"
    return Path(path).with_name("local-credentials.json")


def _kept(place: Path) -> dict[str, str]:
    """What was made up before, or something new; kept if the folder can be written."""
    try:
        made = json.loads(place.read_text())
        if len(made["jwt_secret"]) >= 32 and len(made["key"]) >= 32:
            return {"jwt_secret": made["jwt_secret"], "key": made["key"]}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    made = {"key": f"local-{secrets.token_hex(16)}", "jwt_secret": secrets.token_hex(32)}
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.touch(mode=0o600)
        place.write_text(json.dumps(made))
    except OSError:
        pass
    return made
