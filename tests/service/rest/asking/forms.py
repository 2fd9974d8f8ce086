"""Bodies that are posted, and what is read of a refusal."""


def files(*contents):
    return [("files", (f"{index}.png", content)) for index, content in enumerate(contents)]


def error_of(response):
    content = response.json()
    assert list(content) == ["error"]
    return content["error"]
