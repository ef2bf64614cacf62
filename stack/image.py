"""The container image: a repository always, and what lies in it built here or elsewhere.

The image is pushed by digest and without a tag: nothing can move under a running task, the
repository stays immutable, and building the same sources twice collides with nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build

from stack.config import Stack
from stack.keys import Architecture, ImageKeys

KEPT_IMAGES = 100
"""A build is an index, an image and its provenance: some thirty deployments to return to."""


@dataclass(frozen=True, kw_only=True)
class ImageArgs:
    stack: Stack
    keys: ImageKeys


class Image(pulumi.ComponentResource):
    """`reference` is what a task definition pins, by digest."""

    def __init__(
        self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Image", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        repository = aws.ecr.Repository(
            name,
            name=args.stack.name,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "AES256"}],
            force_delete=True,
            opts=pulumi.ResourceOptions(parent=self, protect=args.stack.prod),
        )
        aws.ecr.LifecyclePolicy(
            name,
            repository=repository.name,
            policy=json.dumps(
                {
                    "rules": [
                        {
                            "rulePriority": 1,
                            "description": "What was replaced long ago",
                            "selection": {
                                "tagStatus": "any",
                                "countType": "imageCountMoreThan",
                                "countNumber": KEPT_IMAGES,
                            },
                            "action": {"type": "expire"},
                        }
                    ]
                }
            ),
            opts=child,
        )
        self.repository_url = repository.repository_url
        self.repository_arn = repository.arn
        self.reference = (
            pulumi.Output.from_input(args.keys.image)
            if args.keys.image  # built elsewhere
            else self._built(name, repository, args.keys.architecture)
        )
        self.register_outputs({"reference": self.reference})

    def _built(
        self, name: str, repository: aws.ecr.Repository, architecture: Architecture
    ) -> pulumi.Output[str]:
        login = aws.ecr.get_authorization_token_output(
            registry_id=repository.registry_id, opts=pulumi.InvokeOptions(parent=self)
        )
        image = docker_build.Image(
            name,
            # Relative to stack/, where Pulumi runs the program: an absolute path would be a change
            # on every other machine.
            context=docker_build.BuildContextArgs(location=".."),
            dockerfile=docker_build.DockerfileArgs(location="../Dockerfile"),
            platforms=[docker_build.Platform(f"linux/{architecture}")],
            exports=[
                docker_build.ExportArgs(
                    registry=docker_build.ExportRegistryArgs(
                        names=[repository.repository_url],
                        push_by_digest=True,
                        name_canonical=True,
                        oci_media_types=True,
                        compression_level=6,  # the default packs nothing
                    )
                )
            ],
            pull=True,  # base images by their tag: patches arrive with the next build
            push=False,  # the export above does
            build_on_preview=False,  # a preview needs no Docker
            registries=[
                docker_build.RegistryArgs(
                    address=repository.repository_url,
                    username=login.user_name,
                    password=login.password,
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulumi.Output.format("{}@{}", repository.repository_url, image.digest)
