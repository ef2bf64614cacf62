"""The command line: serve, and the few things an operator needs beside it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dotenv import dotenv_values

from bff import __version__
from bff.identity import sign_token
from bff.identity.api_keys import new_key
from bff.identity.dev_credentials import with_dev_credentials
from bff.settings import Settings, SettingsError, needing

CONFIGURATION_EXIT_CODE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    # until the service has its own handlers: as a container's first process we would ignore it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options = _parser().parse_args(arguments)
    try:
        return _run(options, {**_dotenv(), **os.environ})
    except SettingsError as error:
        print(error, file=sys.stderr)
        return CONFIGURATION_EXIT_CODE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bff",
        description="A chat API in front of an AWS Bedrock AgentCore agent; serves it by default.",
        epilog="Settings come from the environment or .env; docs/configuration.md lists them.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve the API on HOST:PORT (the default)")
    token = commands.add_parser("token", help="print a JWT signed with the first JWT_SECRET")
    token.add_argument("--sub", required=True, type=_user, help="the user the token is for")
    token.add_argument(
        "--ttl", type=_positive, default=3600, metavar="SECONDS", help="default: 3600"
    )
    key = commands.add_parser("key", help="print a new API key and its line for API_KEYS")
    key.add_argument("name", metavar="NAME")
    table = commands.add_parser("create-table", help="make the DynamoDB table for local use")
    table.add_argument("name", metavar="NAME")
    decode = commands.add_parser(
        "decode", help="print what becomes of an agent's recorded answer, and its dialects"
    )
    decode.add_argument("file", metavar="FILE", help="the bytes as the agent sent them; - is stdin")
    decode.add_argument(
        "--content-type", metavar="TYPE", help="as the agent sent it; default: by FILE's name"
    )
    return parser


def _user(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        text = ""
    if not text:
        raise argparse.ArgumentTypeError("must be text in UTF-8, and not empty")
    return text


def _positive(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 10 * 365 * 86400:
        raise argparse.ArgumentTypeError("must be from 1 second to ten years")
    return value


def _read(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()


def _dotenv() -> Mapping[str, str]:
    try:
        return {name: value for name, value in dotenv_values(".env").items() if value is not None}
    except UnicodeDecodeError:
        raise SettingsError(".env", "bytes that are no UTF-8", "lines of NAME=VALUE") from None
    except OSError as error:
        takes = "a file that can be read, or none"
        raise SettingsError(".env", os.strerror(error.errno or 0), takes) from None


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    match options.command:
        case "key":
            key, line = new_key(options.name)
            print(f"key:      {key}\nAPI_KEYS: {line}")
        case "token":
            settings = with_dev_credentials(Settings.load(environ))
            print(sign_token(settings, options.sub, ttl_seconds=options.ttl))
        case "create-table":
            with needing("create-table", "aws"):
                from bff.history.dynamodb.table import create_table

            region = Settings.load(environ).aws_region
            try:
                made = asyncio.run(create_table(options.name, region=region))
            except Exception as error:  # whatever AWS or the way to it has to say
                print(f"table {options.name} could not be made: {error}", file=sys.stderr)
                return 1
            print(f"table {options.name} {'made' if made else 'was there already'}")
        case "decode":
            from bff.agents.recorded import content_type_of, described

            try:
                data = _read(options.file)
            except OSError as error:
                print(f"{options.file} cannot be read: {error.strerror}", file=sys.stderr)
                return 1
            for line in described(data, options.content_type or content_type_of(options.file)):
                print(line)
        case _:
            from bff.server import run

            return run(with_dev_credentials(Settings.load(environ)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
