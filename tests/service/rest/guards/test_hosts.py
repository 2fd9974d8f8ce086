import pytest

KEYS = "anna:anna-0123456789abcdef"
BEARER = ("Authorization", "Bearer anna-0123456789abcdef")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080"])
def test_a_server_without_keys_answers_to_loopback_names(small_app, ask, host):
    assert ask(small_app(), headers=[("Host", host)]).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "evil.example#localhost",
        "localhost@evil.example",
        "evil.example, localhost",
        "localhost:80:80",
        "localhost:port",
        "localhost.",
        "127.0.0.1.nip.io",
        "127.1",
        "2130706433",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "10.0.0.5",
        "",
        " ",
        "é",
    ],
)
def test_it_answers_to_no_name_that_a_page_could_point_here(small_app, ask, rejections, host):
    reply = ask(small_app(), headers=[("Host", host)])
    assert (reply.status, rejections) == (421, ["host"])


def test_of_two_hosts_neither_counts(small_app, ask):
    assert ask(small_app(), headers=[("Host", "localhost"), ("Host", "localhost")]).status == 421


def test_a_request_without_a_host_is_of_an_old_client_which_cannot_be_told_from_a_page(small_app, served):
    for settings, status in (({}, b"421"), ({"keys": KEYS}, b"401")):
        answer = served(small_app(**settings)).exchange(b"GET /v1/who HTTP/1.0\r\n\r\n")
        assert answer.split(b" ")[1] == status


def test_probes_name_the_server_by_any_address(small_app, ask):
    assert ask(small_app(), "/v2/health/live", headers=[("Host", "10.0.0.5:8080")]).status == 200


def test_names_can_be_added_to_loopback_and_are_the_only_ones_where_there_are_keys(small_app, ask):
    named = {"allowed_hosts": ("Detector.example", "other.example:444")}
    for host, without_keys, with_keys in (
        ("detector.example:99", 200, 200),
        ("other.example:444", 200, 200),
        ("other.example", 421, 421),
        ("localhost", 200, 421),
        ("sub.detector.example", 421, 421),
    ):
        assert ask(small_app(**named), headers=[("Host", host)]).status == without_keys
        assert ask(small_app(keys=KEYS, **named), headers=[("Host", host), BEARER]).status == with_keys


def test_with_keys_any_name_will_do_unless_some_are_named(small_app, ask):
    app = small_app(keys=KEYS)
    assert ask(app, headers=[("Host", "any.example"), BEARER]).status == 200
    assert ask(app, headers=[("Host", "any example"), BEARER]).status == 421


def test_the_address_that_is_listened_on_is_one_of_its_names(small_app, ask):
    assert ask(small_app(host="127.0.0.2"), headers=[("Host", "127.0.0.2:80")]).status == 200
    assert ask(small_app(host="::1"), headers=[("Host", "[::1]")]).status == 200
