"""A chat API in front of any AWS Bedrock AgentCore agent."""

__version__ = "0.1.0"
