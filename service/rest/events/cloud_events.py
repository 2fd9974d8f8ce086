"""CloudEvents 1.0 over HTTP, one event a request: attributes in headers (binary) or all in a JSON body (structured).

Sources: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and …/bindings/http-protocol-binding.md.
"""

import binascii
import dataclasses
import re
import urllib.parse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from service.errors import InputError, UnsupportedMediaError
from service.rest.guards.json_body import MOST_MARKS, parse_json

STRUCTURED = "application/cloudevents+json"
ANY_EVENT = "application/cloudevents"
PREFIX = "ce-"

REQUIRED = ("id", "source", "type", "specversion")
VERSION = "1.0"
LONGEST = 1024

ATTRIBUTE_NAME = re.compile(r"[a-z0-9]+")
TIME = re.compile(
    r"\d{4}-(0\d|1[0-2])-([0-2]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
)
Parse = Callable[[bytes], Any]

JSON_MEDIA = re.compile(r"(application|text)/([\w.+-]+\+)?json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CloudEvent:
    """An event.

    Attributes:
        attributes: by name, extensions among them.
        data: what its JSON says; None where there is none, or where it was not looked at.
    """

    attributes: Mapping[str, str]
    data: Any

    @property
    def id(self) -> str:
        return self.attributes["id"]

    @property
    def type(self) -> str:
        return self.attributes["type"]


def media_type(content_type: str) -> str:
    """The media type in lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_event(
    headers: Mapping[str, str], body: bytes, *, wanted: str, max_depth: int, most_marks: int = MOST_MARKS
) -> CloudEvent:
    """Read an event.

    Args:
        headers: by name in lower case.
        wanted: the type of events whose data is read; that of others is not looked at.
        max_depth, most_marks: see `parse_json`.

    Raises:
        UnsupportedMediaError: a batch, or a structured form other than JSON.
        InputError, TooLargeError: an attribute is missing or is not what it may be, or the data is no such JSON.
    """
    media = media_type(headers.get("content-type", ""))
    parse = partial(parse_json, max_depth=max_depth, most_marks=most_marks)
    if media == STRUCTURED:
        return _structured(body, wanted, parse)
    if media.startswith(ANY_EVENT):
        raise UnsupportedMediaError(f"the event came as {media[:100]}; send {STRUCTURED}, or attributes in headers")
    attributes = {
        name.removeprefix(PREFIX): _unquoted(name, value) for name, value in headers.items() if name.startswith(PREFIX)
    }
    if media:
        attributes["datacontenttype"] = media
    _check(attributes)
    data = _json(body, media, parse) if attributes["type"] == wanted else None
    return CloudEvent(attributes=attributes, data=data)


def _structured(body: bytes, wanted: str, parse: Parse) -> CloudEvent:
    content = parse(body)
    if not isinstance(content, dict):
        raise InputError("a structured event is a JSON object with its attributes and data")
    data, encoded = content.pop("data", None), content.pop("data_base64", None)
    attributes = {name: _as_text(name, value) for name, value in content.items() if value is not None}
    _check(attributes)
    if attributes["type"] != wanted:
        return CloudEvent(attributes=attributes, data=None)
    if encoded is not None:
        if data is not None or not isinstance(encoded, str):
            raise InputError("an event has data or data_base64, a string, and not both")
        try:
            decoded = binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError as error:
            raise InputError(f"data_base64 of the event is not base64 ({error})") from error
        data = _json(decoded, media_type(attributes.get("datacontenttype", "")), parse)
    return CloudEvent(attributes=attributes, data=data)


def _json(body: bytes, media: str, parse: Parse) -> Any:
    if media and not JSON_MEDIA.fullmatch(media):
        raise UnsupportedMediaError(f"the event's data came as {media[:100]}; inference requests are read as JSON")
    return parse(body)


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise InputError(f"the attribute {name[:64]!r} of the event is no string, integer or boolean")


def _unquoted(name: str, value: str) -> str:
    try:
        return urllib.parse.unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise InputError(f"the header {name[:64]!r} is not percent-encoded UTF-8") from error


def _check(attributes: Mapping[str, str]) -> None:
    for name in REQUIRED:
        if not attributes.get(name):
            raise InputError(f"the event has no attribute {name!r}; send CloudEvents {VERSION}")
    for name, value in attributes.items():
        if not ATTRIBUTE_NAME.fullmatch(name):
            raise InputError(f"the event has an attribute {name[:64]!r}; their names are lower-case letters and digits")
        if len(value) > LONGEST:
            raise InputError(f"the attribute {name[:64]!r} of the event has more than {LONGEST} characters")
    if attributes["specversion"] != VERSION:
        raise InputError(f"the event is of CloudEvents {attributes['specversion'][:32]!r}; send {VERSION}")
    if "time" in attributes and not TIME.fullmatch(attributes["time"]):
        raise InputError(f"the time of the event is {attributes['time'][:64]!r}; it is written as in RFC 3339")
