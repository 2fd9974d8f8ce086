import contextlib
import os
import time

import hypothesis
import pytest
from hypothesis import strategies

from service.errors import InputError, TooLargeError
from service.rest.native.forms import LONGEST_FIELD, MOST_FIELDS, parse_form

TYPE = "multipart/form-data; boundary=B"


def part(content, disposition):
    return b"--B\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\n" + content + b"\r\n"


def form(*parts):
    return b"".join(parts) + b"--B--\r\n"


def parse(body, content_type=TYPE, most_files=4):
    return parse_form(content_type, body, most_files=most_files)


def test_files_and_fields_are_told_apart_by_their_file_name():
    body = form(part(b"\x00\xff", b'name="files"; filename="a.png"'), part(b"digits", b'name="bundle"'))
    parsed = parse(body)
    assert parsed.files == [("files", "a.png", b"\x00\xff")]
    assert parsed.fields == {"bundle": "digits"}


@hypothesis.given(strategies.lists(strategies.binary(max_size=300), max_size=4))
def test_every_content_comes_back_byte_for_byte(contents):
    contents = [content.replace(b"--B", b"") for content in contents]
    body = form(*(part(content, b'name="files"; filename="x"') for content in contents))
    assert [content for _, _, content in parse(body).files] == contents


@hypothesis.given(strategies.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else_is_raised(garbage):
    for body in (garbage, b"--B\r\n" + garbage, part(garbage, b'name="a"')):
        try:
            parse(body)
        except InputError:
            continue
        assert b"--B--" in body


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b'filename="caf\xc3\xa9.png"', "café.png"),
        (b'filename="\xff.png"', "\N{REPLACEMENT CHARACTER}.png"),
        (b'filename="../../etc/passwd"', "../../etc/passwd"),
        (b'filename=""', ""),
        (b'filename="a;b.png"', "a;b.png"),
    ],
)
def test_names_are_text_and_nothing_more(name, expected):
    [(_, found, _)] = parse(form(part(b"x", b'name="files"; ' + name))).files
    assert found == expected


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "cut off"),
        (part(b"x", b'name="a"'), "cut off"),
        (b"no form at all", "damaged"),
        (form(part(b"x", b"")), "names no field"),
        (form(part(b"x", b'filename="a.png"')), "names no field"),
        (form(part(b"x", b'name="a"'), part(b"y", b'name="a"')), "twice"),
        (b"--B\r\n" + b"a: b\r\n" * 1000, "damaged"),
    ],
)
def test_a_damaged_form_is_refused_with_the_reason(body, complaint):
    with pytest.raises(InputError, match=complaint):
        parse(body)


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; x"]
)
def test_a_form_without_a_boundary_is_refused(content_type):
    with pytest.raises(InputError, match="boundary"):
        parse(form(), content_type)


@pytest.mark.parametrize(
    "body",
    [
        form(*(part(b"x", b'name="files"; filename="a"'),) * 5),
        form(*(part(b"x", b'name="%d"' % index) for index in range(MOST_FIELDS + 1))),
        form(*(part(b"x", b'name="%d"' % index) for index in range(1000))),
        form(part(bytes(LONGEST_FIELD + 1), b'name="a"')),
    ],
)
def test_more_than_is_taken_is_too_large(body):
    with pytest.raises(TooLargeError):
        parse(body)


@pytest.mark.parametrize(
    "filling", [b"\r\n--B\r", b"\r\n--B-", b"\r\n--B ", b"\r\n--B", b"--B", b"\r\n--", b"\r", b" ", b"\r\n"]
)
@pytest.mark.parametrize("start", [b"--B", b"--B\r\n", b"", part(b"", b'name="files"; filename="a"')[:-2]])
def test_no_body_keeps_the_parser_busy(start, filling):
    body = start + filling * (2**21 // len(filling))
    started = time.process_time()
    for whole in (body, body + b"\r\n--B--\r\n"):
        with contextlib.suppress(InputError):
            parse(whole)
    assert time.process_time() - started < 0.2


def test_a_large_file_is_one_piece():
    content = os.urandom(4 * 2**20) + b"\r\n" * 10_000
    started = time.process_time()
    assert parse(form(part(content, b'name="files"; filename="a"'))).files[0][2] == content
    assert time.process_time() - started < 0.5
