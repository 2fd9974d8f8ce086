import hmac
import logging
import os

import pytest
from pydantic import SecretStr

from service.errors import InputError
from service.rest.guards.keys import KeyRing, digest_of, parse_keys
from service.settings import ServeSettings

ANNA, BERT, CLEO = "anna-0123456789abcdef", "bert-0123456789abcdef", "cleo-0123456789abcdef"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def write(path, text, *, moment):
    """Put a whole file in place, at a known time."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.utime(new, (moment, moment))
    new.rename(path)


def test_entries_stand_on_lines_or_between_commas_and_comments_do_not_count():
    keys = parse_keys(f"# keys\nanna:{ANNA}, bert:{BERT},\n\n  cleo:{CLEO}  \n", "a file")
    assert keys == {digest_of(key.encode()): key[:4] for key in (ANNA, BERT, CLEO)}


@pytest.mark.parametrize(
    "text",
    [
        ANNA,
        f":{ANNA}",
        f"a b:{ANNA}",
        f"{'a' * 65}:{ANNA}",
        f"anonymous:{ANNA}",
        "anna:short",
        "anna:",
        f"anna:{ANNA} {ANNA}",
        f"anna:{ANNA}é",
        f"anna:{ANNA}, bert:{ANNA}",
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(text):
    with pytest.raises(InputError) as caught:
        parse_keys(text, "the file")
    assert ANNA not in str(caught.value)
    assert "the file" in str(caught.value)


def test_two_keys_may_be_one_persons(tmp_path):
    ring = KeyRing(SecretStr(f"anna:{ANNA},anna:{BERT}"), None)
    assert {ring.owner_of(ANNA.encode()), ring.owner_of(BERT.encode())} == {"anna"}
    assert ring.owner_of(b"anna") is None
    assert ring.owner_of(b"") is None
    assert ring.owner_of(ANNA.encode()[:-1]) is None


def test_every_key_is_compared_whichever_fits(monkeypatch):
    compared = []
    same = hmac.compare_digest

    def watched(left, right):
        compared.append(left)
        return same(left, right)

    ring = KeyRing(SecretStr(f"anna:{ANNA},bert:{BERT},cleo:{CLEO}"), None)
    monkeypatch.setattr("service.rest.guards.keys.hmac.compare_digest", watched)
    counts = []
    for key in (ANNA, CLEO, "nobody's"):
        compared.clear()
        ring.owner_of(key.encode())
        counts.append(len(compared))
    assert counts == [3, 3, 3]


def test_a_changed_file_is_read_again_and_old_keys_no_longer_open(tmp_path):
    clock, path = Clock(), tmp_path / "keys"
    write(path, f"anna:{ANNA}", moment=1)
    ring = KeyRing(None, path, clock)
    write(path, f"bert:{BERT}", moment=2)
    assert ring.owner_of(ANNA.encode()) == "anna"  # not looked at again within a second
    clock.now = 1.0
    assert ring.owner_of(ANNA.encode()) is None
    assert ring.owner_of(BERT.encode()) == "bert"


def test_keys_of_the_same_length_and_time_are_seen_by_the_new_file(tmp_path):
    clock, path = Clock(), tmp_path / "keys"
    write(path, f"anna:{ANNA}", moment=1)
    ring = KeyRing(None, path, clock)
    write(path, f"bert:{BERT}", moment=1)
    clock.now = 1.0
    assert ring.owner_of(BERT.encode()) == "bert"


@pytest.mark.parametrize("text", ["", "# none", "anna", f"anna:{ANNA}\nbert:short", "\0", None])
def test_a_file_that_became_unusable_changes_nothing_and_no_key_is_logged(tmp_path, text, caplog):
    clock, path = Clock(), tmp_path / "keys"
    write(path, f"cleo:{CLEO}", moment=1)
    ring = KeyRing(None, path, clock)
    if text is None:
        path.unlink()
    else:
        write(path, text, moment=2)
    clock.now = 1.0
    with caplog.at_level(logging.DEBUG):
        assert ring.owner_of(CLEO.encode()) == "cleo"
    assert "still hold" in caplog.text
    assert ANNA not in caplog.text
    assert CLEO not in caplog.text


def test_fixed_keys_stay_beside_those_of_the_file(tmp_path):
    path = tmp_path / "keys"
    write(path, f"anna:{ANNA}", moment=1)
    ring = KeyRing(SecretStr(f"bert:{BERT}"), path)
    assert (ring.owner_of(ANNA.encode()), ring.owner_of(BERT.encode())) == ("anna", "bert")


def test_a_server_that_is_to_have_keys_does_not_start_without_one(tmp_path):
    (tmp_path / "keys").write_text("# none\n")
    with pytest.raises(InputError, match="there is none"):
        KeyRing.from_settings(ServeSettings(keys_file=tmp_path / "keys"))
    with pytest.raises(FileNotFoundError):
        KeyRing.from_settings(ServeSettings(keys_file=tmp_path / "nowhere"))
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not a text file"):
        KeyRing.from_settings(ServeSettings(keys_file=tmp_path / "keys"))
    assert KeyRing.from_settings(ServeSettings()) is None


def test_no_key_is_kept_or_shown():
    settings = ServeSettings(keys=SecretStr(f"anna:{ANNA}"))
    ring = KeyRing.from_settings(settings)
    assert ANNA not in repr(settings) + str(settings.model_dump_json()) + str(vars(ring))
