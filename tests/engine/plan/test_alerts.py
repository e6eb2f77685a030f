from __future__ import annotations

import pytest

from engine.config.load import read
from engine.plan import compile_plan
from tests.support.plans import HEAD, REGISTRY, plan_of, problems_of

SYNC = '[syncs.s]\nsource = "shop"\ndestination = "crm"\nevent_types = [{}]\n'


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('url = "https://ops.test/hook"', ""),
        ('url = "http://[::1]:9/hook"\nallow_private = true', ""),
        ('url = "ops.test/hook"', "alerts.url: is no http:// or https:// address"),
        ('url = "ftp://ops.test/hook"', "alerts.url: is no http:// or https:// address"),
        ('url = "https:///hook"', "alerts.url: has no host, or a blank in it"),
        ('url = "https://ops.test/a b"', "alerts.url: has no host, or a blank in it"),
        ('url = "https://ops.test:x/"', "alerts.url: cannot be read"),
        ('url = "https://ops.test/"\nsecret = "whsec_?"', "alerts.secret: what follows whsec_ is not base64"),
    ],
)
def test_an_address_that_cannot_be_posted_to_is_told_and_not_shown(line, problem):
    found = problems_of(f"{HEAD}[alerts]\n{line}\n{SYNC}")

    assert [text.partition(": ")[2].partition("\n")[0] for text in found] == ([problem] if problem else [])
    assert "ops.test" not in "".join(found)


def test_a_check_without_an_environment_takes_secrets_for_good(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(f'{HEAD}[alerts]\nurl = "env:ALERTS_URL"\nsecret = "env:ALERTS_SECRET"\n{SYNC}')

    plan = compile_plan(read(file, env=None), REGISTRY)

    assert plan.config.alerts
    assert plan.config.alerts.url == "***"
    assert plan_of(HEAD + SYNC).config.alerts is None
