"""Roles of AWS's services, each with exactly what it may do; the permissions boundary is on all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from stack.config import Stack


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a role may do to what."""

    actions: tuple[str, ...]
    resources: tuple[pulumi.Input[str], ...]
    condition: dict[str, Any] | None = None


def make_role(
    name: str,
    service: str,
    description: str,
    stack: Stack,
    opts: pulumi.ResourceOptions,
    *,
    account: pulumi.Input[str] | None = None,
) -> aws.iam.Role:
    """A role for `service`, on behalf of `account` only where the service says on whose."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": service},
    }
    if account is not None:
        statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
    return aws.iam.Role(
        name,
        description=description,
        permissions_boundary=stack.permissions_boundary_arn,
        assume_role_policy=pulumi.Output.json_dumps(
            {"Version": "2012-10-17", "Statement": [statement]}
        ),
        opts=opts,
    )


def allow(
    name: str, role: aws.iam.Role, grants: Sequence[Grant], opts: pulumi.ResourceOptions
) -> aws.iam.RolePolicy:
    return aws.iam.RolePolicy(
        name,
        role=role.id,
        policy=pulumi.Output.json_dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": sorted(grant.actions),
                        "Resource": list(grant.resources),
                        **({"Condition": grant.condition} if grant.condition else {}),
                    }
                    for grant in grants
                ],
            }
        ),
        opts=opts,
    )
