import pytest
from starlette.requests import Request

from service.errors import InputError
from service.rest.guards.queries import require_once


def asked(query):
    return Request({"type": "http", "query_string": query, "headers": []})


@pytest.mark.parametrize("query", [b"", b"a=1", b"a=1&b=1", b"a=1&A=1"])
def test_each_parameter_may_come_once(query):
    require_once(asked(query))


@pytest.mark.parametrize("query", [b"a=1&a=2", b"a=1&a=1", b"b=1&a=&a=", b"a=1&%61=2"])
def test_none_may_come_twice(query):
    with pytest.raises(InputError, match="'a' comes twice"):
        require_once(asked(query))
