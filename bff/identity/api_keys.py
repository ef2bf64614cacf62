"""API keys: a new one, and the entry of `API_KEYS` that lets it in."""

from __future__ import annotations

import hashlib
import secrets

from bff.settings import ApiKey, Settings, SettingsError


def new_key(name: str) -> tuple[str, str]:
    """A new API key, and the entry of `API_KEYS` that lets it in, which does not show the key.

    Raises `SettingsError` for a name that `API_KEYS` would not take.
    """
    plain = f"bff_{secrets.token_urlsafe(32)}"
    key = ApiKey(name, hashlib.sha256(plain.encode()).hexdigest())
    entry = f"{key.name}:{key.digest}"
    try:
        fits = Settings.load({"API_KEYS": entry}).api_keys == (key,)
    except SettingsError:
        fits = False
    if not fits:
        takes = "1 to 64 letters, digits, '.', '_' or '-', a letter or digit first"
        raise SettingsError("NAME", repr(name), takes)
    return plain, entry
