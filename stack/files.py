"""Where the service keeps what people send and agents make: a private bucket that forgets."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from stack.config import Stack
from stack.roles import Grant

PREFIX = "files"
BUCKET_ACTIONS = ("s3:ListBucket",)
OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:PutObject",
)


@dataclass(frozen=True, kw_only=True)
class FilesArgs:
    stack: Stack
    retention_days: int
    cors_origins: tuple[str, ...]
    """Browsers of these upload and download by presigned addresses."""


class Files(pulumi.ComponentResource):
    """`url` is what the service's variable FILES takes."""

    def __init__(
        self, name: str, args: FilesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Files", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        part = f"{name}-files"
        bucket = aws.s3.Bucket(
            part,
            force_destroy=not args.stack.prod,
            opts=pulumi.ResourceOptions(parent=self, protect=args.stack.prod),
        )
        closed = aws.s3.BucketPublicAccessBlock(
            part,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketOwnershipControls(
            part, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}, opts=child
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            part,
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            part,
            bucket=bucket.id,
            rules=[
                {
                    "id": "expire",
                    "status": "Enabled",
                    "filter": {"prefix": f"{PREFIX}/"},
                    "expiration": {"days": args.retention_days},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                }
            ],
            opts=child,
        )
        if args.cors_origins:
            aws.s3.BucketCorsConfiguration(
                part,
                bucket=bucket.id,
                cors_rules=[
                    {
                        "allowed_origins": list(args.cors_origins),
                        "allowed_methods": ["GET", "HEAD", "POST", "PUT"],
                        "allowed_headers": ["*"],
                        "expose_headers": ["ETag"],
                        "max_age_seconds": 3600,
                    }
                ],
                opts=child,
            )
        everything = pulumi.Output.format("{}/*", bucket.arn)
        policy = aws.s3.BucketPolicy(
            part,
            bucket=bucket.id,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:*",
                            "Resource": [bucket.arn, everything],
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    ],
                }
            ),
            # Two writers of one bucket's access settings get in each other's way.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[closed]),
        )
        self.bucket = policy.bucket
        self.url = pulumi.Output.format("s3://{}/{}", self.bucket, PREFIX)
        self.grants = [
            Grant(
                actions=BUCKET_ACTIONS,
                resources=(bucket.arn,),
                condition={"StringLike": {"s3:prefix": f"{PREFIX}/*"}},
            ),
            Grant(
                actions=OBJECT_ACTIONS,
                resources=(pulumi.Output.format("{}/{}/*", bucket.arn, PREFIX),),
            ),
        ]
        self.register_outputs({"bucket": self.bucket})
