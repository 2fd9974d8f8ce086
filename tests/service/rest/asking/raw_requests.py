"""Requests written byte by byte, and what is read of their answers."""

import re

HEAD = b"Host: localhost\r\n"
GET = b"GET /v1/who HTTP/1.1\r\n" + HEAD
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /v1/echo HTTP/1.1\r\n" + HEAD
DEAF = b"POST /v1/deaf HTTP/1.1\r\n" + HEAD
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CLOSE = b"Connection: close\r\n"

LONG = 30.0
"""Seconds: far beyond the limits that are set here, and beyond what a busy machine adds to them."""


def statuses(answer):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
