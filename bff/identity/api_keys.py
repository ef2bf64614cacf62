"""API keys: a new one, and the entry of `API_KEYS` that lets it in."""

from __future__ import annotations

import hashlib
import secrets

from bff.settings import ApiKey, Settings, SettingsError


def new_key(name: str) -> tuple[str, str]:
    """A new API key, and the entry of `API_KEYS` that lets it in, which does not tell the key.

    Raises `SettingsError` for a name that `API_KEYS` would not take.
    """
    plain = f"bff_{secrets.token_urlsafe(32)}"
    key = ApiKey(name, hashlib.sha256(plain.encode()).hexdigest())
    entry = f"{key.name}:{key.digest}"
    if Settings.load({"API_KEYS": entry}).api_keys != (key,):
        raise SettingsError("API_KEYS", repr(name), "a name without ':' and ','")
    return plain, entry
