from __future__ import annotations

import msgspec
import pytest

import engine
from engine.plugin import Reply, Secret, SettingsError
from plugins.destinations.webhook import Webhook
from tests.support.deliveries import deliveries, delivery, made, settings_of

URL = "https://crm.example/hooks/orders"
AT = 1_614_265_330.9


def headers(payloads=None, /, **table):
    request = made(Webhook, url=URL, **table).request(payloads or [delivery()], AT)
    return dict(request.headers)


def problems(**table):
    with pytest.raises(SettingsError) as caught:
        made(Webhook, **({"url": URL} | table))
    return str(caught.value)


def test_one_payload_is_posted_as_it_is_under_its_key():
    request = made(Webhook, url=URL).request([delivery(1, b'{"total": 12.50}')], AT)

    assert (request.method, request.url, request.body) == ("POST", URL, b'{"total": 12.50}')
    assert request.headers == (
        ("Content-Type", "application/json"),
        ("User-Agent", f"headrace/{engine.__version__}"),
        ("Idempotency-Key", "00000000000000000000000000000001"),
    )


def test_a_replay_with_a_changed_payload_has_a_key_of_its_own():
    assert headers([delivery(1, replay=2)])["Idempotency-Key"] == "00000000000000000000000000000001;r2"


def test_a_batch_is_an_array_in_order_with_a_key_for_each_and_none_for_itself():
    request = made(Webhook, url=URL, batch=3).request([delivery(2), delivery(1, replay=1), delivery(3)], AT)

    assert request.body == b'[{"n":2},{"n":1},{"n":3}]'
    assert dict(request.headers)["Headrace-Delivery-Keys"] == f"{2:032x},{1:032x};r1,{3:032x}"
    assert "Idempotency-Key" not in dict(request.headers)


def test_a_batch_of_one_is_still_an_array_and_shows_its_key_both_ways():
    request = made(Webhook, url=URL, batch=3).request([delivery(7)], AT)

    assert request.body == b'[{"n":7}]'
    assert dict(request.headers)["Idempotency-Key"] == f"{7:032x}"
    assert dict(request.headers)["Headrace-Delivery-Keys"] == f"{7:032x}"


def test_the_bounds_are_the_settings():
    bounds = made(Webhook, url=URL, batch=50, batch_bytes="64 KiB").bounds()

    assert (bounds.batch, bounds.batch_bytes, bounds.rate, bounds.ordered_batch) == (50, 65536, None, False)


@pytest.mark.parametrize("batch", [0, 1001])
def test_a_batch_is_1_to_1000(batch):
    with pytest.raises(msgspec.ValidationError, match=r"Expected `int` .= 1(000)?"):
        settings_of(Webhook, {"url": URL, "batch": batch})


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        ({"bearer": "t0ken"}, "Authorization", "Bearer t0ken"),
        (
            {"basic": {"user": "Aladdin", "password": "open sesame"}},
            "Authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        ({"header": {"name": "X-Api-Key", "value": "k3y"}}, "X-Api-Key", "k3y"),
        ({"headers": {"X-Team": "growth"}}, "X-Team", "growth"),
        ({"headers": {"Authorization": "Token abc"}}, "Authorization", "Token abc"),
        ({"headers": {"content-type": "application/vnd.api+json"}}, "content-type", "application/vnd.api+json"),
    ],
)
def test_headers_say_who_we_are(table, name, value):
    assert headers(**table)[name] == value


def test_a_header_of_the_user_s_takes_the_place_of_ours():
    names = [name.lower() for name in headers(headers={"user-agent": "shop/1", "CONTENT-TYPE": "text/json"})]

    assert sorted(names) == ["content-type", "idempotency-key", "user-agent"]


def test_the_signature_is_the_one_of_the_specification_s_own_vector():
    signer = made(Webhook, url=URL, secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    payload = delivery(1, b'{"test": 2432232314}', key="msg_p5jXN8AQM9LWM0D4loKWxJek")

    signed = dict(signer.request([payload], AT).headers)

    assert signed["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert signed["webhook-timestamp"] == "1614265330"
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_any_other_text_is_a_secret_as_it_is():
    coded = headers(secret="whsec_c2hoaGg")  # "shhhh" without its padding
    plain = headers(secret="shhhh")

    assert coded["webhook-signature"] == plain["webhook-signature"]


def test_a_signed_batch_has_an_id_made_of_its_keys():
    first = headers(deliveries(3), batch=3, secret="s")
    again = headers(deliveries(3), batch=3, secret="s")
    other = headers(deliveries(2), batch=3, secret="s")

    assert first["webhook-id"] == again["webhook-id"] != other["webhook-id"]
    assert len(first["webhook-id"]) == 32


def test_the_status_decides_for_all():
    assert made(Webhook, url=URL).verdicts(Reply(status=200, body=b'{"errors":[1]}'), [delivery()]) is None


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (
            {"url": "ftp://crm.example/x"},
            "url: expected http:// or https://, got ftp:\n    write it like https://crm.example/hooks/orders",
        ),
        ({"url": "htps://crm.example/x"}, "url: expected http:// or https://, got htps:\n    did you mean 'https'?"),
        (
            {"url": "crm.example/x"},
            "url: expected http:// or https://, got none\n    write it like https://crm.example/hooks/orders",
        ),
        (
            {"url": "https://ann:hunter2@crm.example/x"},
            (
                "url: has a user or password in it, which would be printed\n"
                '    take it out and write basic = { user = "…", password = "env:NAME" }'
            ),
        ),
        ({"url": "https://"}, "url: has no host, or a blank in it\n    write it like https://crm.example/hooks/orders"),
        (
            {"url": "https://a b.example/"},
            "url: has no host, or a blank in it\n    write it like https://crm.example/hooks/orders",
        ),
        ({"url": "https://[::1/"}, "url: cannot be read\n    write it like https://crm.example/hooks/orders"),
        ({"url": "https://x:99999/"}, "url: cannot be read\n    write it like https://crm.example/hooks/orders"),
        (
            {"bearer": "t", "basic": {"user": "u", "password": "p"}, "header": {"name": "X-Key", "value": "v"}},
            "bearer: cannot be given beside basic and header\n    keep one of them",
        ),
        (
            {"bearer": "t", "headers": {"authorization": "v"}},
            "headers.authorization: is given twice; upper and lower case are the same\n    keep one of them",
        ),
        ({"bearer": "t\n"}, "bearer: is empty, or has a character that a header cannot carry"),
        (
            {"basic": {"user": "a:b", "password": "p"}},
            "basic.user: has a colon in it\n    the password goes into basic.password",
        ),
        (
            {"headers": {"X Team": "v"}},
            "headers.X Team: 'X Team' cannot be a header's name\n    use letters, digits and -",
        ),
        ({"headers": {"Host": "v"}}, "headers.Host: Host is set by Headrace itself\n    leave it out"),
        (
            {"header": {"name": "X-Key", "value": "s3cret\n"}},
            (
                "header: its value is empty, has a blank at an end, or a character that a header cannot carry\n"
                "    a secret read from a file often ends in a newline"
            ),
        ),
        (
            {"secret": "whsec_not!base64"},
            "secret: what follows whsec_ is not base64\n    copy the whole secret, or give it without whsec_",
        ),
        (
            {"secret": "whsec_é"},
            "secret: what follows whsec_ is not base64\n    copy the whole secret, or give it without whsec_",
        ),
        ({"secret": ""}, "secret: is empty\n    give at least 24 random bytes, or leave the key out"),
    ],
)
def test_settings_that_cannot_work_are_refused(table, text):
    assert problems(**table) == text


def test_all_problems_are_told_at_once_and_no_value_is_shown():
    text = problems(url="ftp://x/", headers={"Host": "h0st"}, bearer="b3arer", secret="whsec_s3cret!")

    assert text.splitlines()[::2] == [
        "url: expected http:// or https://, got ftp:",
        "headers.Host: Host is set by Headrace itself",
        "secret: what follows whsec_ is not base64",
    ]
    assert not any(value in text for value in ("h0st", "b3arer", "s3cret"))


def test_redacted_settings_make_the_same_request_without_secrets():
    table = {"url": URL, "bearer": Secret("***"), "secret": Secret("***"), "headers": {"X-Key": Secret("***")}}

    request = made(Webhook, **table).request([delivery()], AT)

    assert dict(request.headers)["Authorization"] == "Bearer ***"
    assert dict(request.headers)["X-Key"] == "***"
