"""What is wrong with `[alerts]`, as far as it can be known without the network."""

from __future__ import annotations

from urllib.parse import urlsplit

from engine.config import schema
from engine.config.secrets import HIDDEN
from engine.plan.problems import Problems
from engine.signing import secret_problems

_LIKE_THIS = 'write it like "https://chat.example/hooks/ops", or "env:ALERTS_URL"'


def lint_alerts(table: schema.Alerts | None, problems: Problems) -> None:
    """Note an address that cannot be posted to, or a secret that cannot sign; neither is shown."""
    if table is None:
        return
    if table.url != HIDDEN and (what := _wrong(table.url)):
        problems.error("alerts.url", what, _LIKE_THIS)
    if table.secret is not None and table.secret != HIDDEN:
        for problem in secret_problems(table.secret):
            problems.error("alerts.secret", problem.what, problem.hint)


def _wrong(url: str) -> str:
    """Return what is wrong with *url*, or ""."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "cannot be read"
    if parts.scheme not in {"http", "https"}:
        return "is no http:// or https:// address"
    return "" if host and not any(map(str.isspace, url)) else "has no host, or a blank in it"
