"""First values for the service's secrets, so that its first start needs no hand.

A secret without a value keeps every task from starting. What is here is only the first value: an
operator rotates it in Secrets Manager, and later updates leave that alone (docs/operations.md).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_random as random

from stack.config import Stack
from stack.live import SECRET, Live

FIRST_KEY = "first"
"""The first API key's name, which is also its principal's."""


@dataclass(frozen=True, kw_only=True)
class CredentialsArgs:
    stack: Stack
    primary: Live
    """The stack whose secrets this one shares, empty where it shares none."""


class Credentials(pulumi.ComponentResource):
    """`arns` by the variable that a task reads them into."""

    def __init__(
        self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Credentials", name, None, opts)
        self._prod = args.stack.prod
        self.first_api_key: pulumi.Output[str] | None = None
        self.arns: dict[str, pulumi.Input[str]]
        second = args.stack.secondary
        self._replicas: list[aws.secretsmanager.SecretReplicaArgsDict] | None = (
            [{"region": second.removeprefix("prod-")}] if second else None
        )
        if args.stack.primary:
            self.register_outputs({"shared": self._replicated(name, args)})
            return
        signing = self._random(f"{name}-jwt", 64)
        # 256 bits of letters and digits, with what tells a key from other strings in a leak.
        key = self._random(f"{name}-key", 43).apply(lambda text: f"bff_{text}")
        self.first_api_key = pulumi.Output.secret(key)
        line = key.apply(lambda key: f"{FIRST_KEY}:{hashlib.sha256(key.encode()).hexdigest()}")
        self.arns = {
            "JWT_SECRET": self._secret(f"{name}-jwt", "Signs and verifies JWTs (HS256)", signing),
            "API_KEYS": self._secret(f"{name}-keys", "API keys as name:sha256", line),
        }
        self.register_outputs({})

    def _replicated(self, name: str, args: CredentialsArgs) -> dict[str, str]:
        """The primary's own, which Secrets Manager copies here: a token is good in both regions.

        Returns the ARNs of the primary's by name, to be known without the primary's state.
        """
        self.arns, known = {}, {}
        for variable, part in (("JWT_SECRET", "jwt"), ("API_KEYS", "keys")):
            arn = args.primary.get(SECRET, f"{name}-{part}").get("arn")
            unknown = f"arn:aws:secretsmanager:-:000000000000:secret:of-{args.stack.primary}-{part}"
            pieces = str(arn or unknown).split(":")
            self.arns[variable] = ":".join([*pieces[:3], args.stack.region, *pieces[4:]])
            if arn:
                known[f"{name}-{part}"] = str(arn)
        return known

    def _random(self, name: str, length: int) -> pulumi.Output[str]:
        return random.RandomPassword(
            name, length=length, special=False, opts=pulumi.ResourceOptions(parent=self)
        ).result

    def _secret(self, name: str, description: str, first: pulumi.Output[str]) -> pulumi.Output[str]:
        secret = aws.secretsmanager.Secret(
            name,
            description=description,
            recovery_window_in_days=30 if self._prod else 0,
            replicas=self._replicas,
            opts=pulumi.ResourceOptions(parent=self, protect=self._prod),
        )
        value: pulumi.Output[str] = pulumi.Output.secret(first)
        version = aws.secretsmanager.SecretVersion(
            name,
            secret_id=secret.id,
            secret_string=value,
            # The first version is current all the same. Its own stage keeps it once it was rotated
            # away, so no refresh drops it; and made again it would not become current.
            version_stages=[FIRST_KEY],
            opts=pulumi.ResourceOptions(
                parent=self,
                # Rotated by hand since: the value in Secrets Manager is the truth.
                ignore_changes=["secretString", "versionStages"],
            ),
        )
        # The version's: whoever reads the secret's ARN waits until it has a value. Bare, without a
        # JSON key, since the value is plain text.
        return version.secret_id
