"""Who translates: between our Structs and one service's words."""

from __future__ import annotations

BUILTIN: dict[str, dict[str, str]] = {
    "destinations": {
        "file": "plugins.destinations.file:File",
        "log": "plugins.destinations.log:Log",
        "mock": "plugins.destinations.mock:Mock",
        "webhook": "plugins.destinations.webhook:Webhook",
    },
    "functions": {
        "javascript": "plugins.functions.javascript:JavaScript",
        "lists": "plugins.functions.lists:Lists",
        "python": "plugins.functions.python:Python",
        "redact": "plugins.functions.redact:Redact",
        "rename": "plugins.functions.rename:Rename",
        "sample": "plugins.functions.sample:Sample",
        "user_agent": "plugins.functions.user_agent:UserAgent",
    },
    "sources": {
        "file": "plugins.sources.file:File",
        "http": "plugins.sources.http:Http",
        "posthog": "plugins.sources.posthog:PostHog",
        "webhook": "plugins.sources.webhook:Webhook",
    },
}
"""Kind, name, and the class as ``module:Class``; imported when a configuration names it."""
