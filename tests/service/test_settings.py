import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from service.cli import app
from service.errors import InputError
from service.serving.flags import default_of, flag_of, is_repeatable, settings_of, unknown_variables, variable_of
from service.settings import ServeSettings

FIELDS = list(ServeSettings.model_fields)
README = Path(__file__).parents[2] / "service" / "README.md"

VALUES = {
    "host": "::1",
    "false_positive_rate": "0.25",
    "keys": "anna:0123456789abcdef",
    "log_format": "text",
    "log_level": "debug",
    "device": "cpu",
    "runtime": "onnxruntime",
    "otlp_endpoint": "http://localhost:4318",
    "drift_false_alarms": "7.5",
}


def value_of(name):
    """A value in words that the setting takes and that is not its default."""
    return VALUES.get(name, "some" if is_repeatable(name) or Path in kinds(name) else "7")


def kinds(name):
    annotation = ServeSettings.model_fields[name].annotation
    return {annotation, *getattr(annotation, "__args__", ())}


def shown(settings, name):
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in FIELDS:
        monkeypatch.delenv(variable_of(name), raising=False)


@pytest.fixture
def given(monkeypatch):
    """The settings that a command line makes, without serving."""
    seen = []
    monkeypatch.setattr("service.serving.start.run_server", lambda settings: seen.append(settings) or 0)

    def run(*arguments):
        result = CliRunner().invoke(app, ["serve", *arguments])
        assert result.exit_code == 0, result.output
        return seen.pop()

    return run


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_a_flag_and_a_variable_are_one(given, monkeypatch, name):
    value = value_of(name)
    arguments = [flag_of(name)] if kinds(name) == {bool} else [flag_of(name), value]
    by_flag = given(*arguments)
    monkeypatch.setenv(variable_of(name), "1" if kinds(name) == {bool} else value)
    by_variable = given()
    monkeypatch.delenv(variable_of(name))
    assert shown(by_flag, name) == shown(by_variable, name) != shown(ServeSettings(), name)
    assert by_flag.model_dump(exclude={name}) == ServeSettings().model_dump(exclude={name})


def test_the_help_lists_every_flag_with_its_variable_and_its_default_and_no_other():
    output = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).stdout
    flags = set(re.findall(r"--[a-z][a-z-]+", output)) - {"--help", "--no-log-images"}
    assert flags == {flag_of(name) for name in FIELDS}
    words = " ".join(output.replace("│", " ").split())
    for name in FIELDS:
        assert f"({variable_of(name)})" in words
        if default_of(name) is not None:
            assert f"[default: ({default_of(name)})]" in words, name


def test_a_flag_is_the_name_with_hyphens_and_in_the_singular_where_it_may_be_repeated():
    assert flag_of("queue_images") == "--queue-images"
    assert variable_of("queue_images") == "ISTHMUS_QUEUE_IMAGES"
    assert [flag_of(name) for name in FIELDS if is_repeatable(name)] == [
        "--bundle",
        "--classifier",
        "--auxiliary-classifier",
        "--allowed-host",
        "--cors-origin",
        "--audit-folder",
    ]


def test_several_values_are_repeated_flags_or_stand_between_commas(given, monkeypatch):
    assert given("--bundle", "a", "--bundle", "b=c,d").bundles == ("a", "b=c,d")
    monkeypatch.setenv("ISTHMUS_BUNDLES", " a, b=c ,,")
    monkeypatch.setenv("ISTHMUS_AUDIT_FOLDERS", "/x,/y z")
    assert given().bundles == ("a", "b=c")
    assert given().audit_folders == (Path("/x"), Path("/y z"))
    assert given("--bundle", "z").bundles == ("z",)


def test_an_empty_variable_counts_as_none(given, monkeypatch):
    monkeypatch.setenv("ISTHMUS_PORT", "")
    monkeypatch.setenv("ISTHMUS_KEYS", "")
    assert (given().port, given().keys) == (8080, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "-1"),
        ("queue_images", "0"),
        ("false_positive_rate", "1"),
        ("false_positive_rate", "nan"),
        ("request_seconds", "0"),
        ("request_seconds", "inf"),
        ("body_seconds", "nan"),
        ("log_level", "trace"),
        ("log_images", "perhaps"),
    ],
)
def test_what_a_setting_does_not_take_is_told_with_flag_and_variable(name, value):
    with pytest.raises(InputError) as caught:
        settings_of({name: value})
    assert str(caught.value).startswith(f"{flag_of(name)} ({variable_of(name)}): ")
    assert value in str(caught.value)


def test_of_few_words_all_are_told():
    with pytest.raises(InputError, match="'json' or 'text', not 'xml'"):
        settings_of({"log_format": "xml"})


def test_all_mistakes_are_told_at_once_and_no_secret(monkeypatch):
    with pytest.raises(InputError) as caught:
        settings_of({"port": "x", "files": "y", "keys": ["anna:0123456789abcdef"]})
    message = str(caught.value)
    assert all(flag in message for flag in ("--port", "--files", "--keys"))
    assert "0123456789" not in message


def test_a_mistake_on_the_command_line_is_one_line_and_exit_code_2():
    result = CliRunner().invoke(app, ["serve", "--port", "x"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("--port (ISTHMUS_PORT)")


def test_settings_cannot_be_changed_and_do_not_show_keys():
    settings = ServeSettings(keys="anna:0123456789abcdef")
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
    assert "0123456789abcdef" not in f"{settings!r} {settings}"


def test_the_readme_names_every_setting_with_its_default():
    rows = re.findall(r"^\| `(--[a-z-]+)` \| `(\w+)` \| (.*?) \| (.*?) \|$", README.read_text(), re.MULTILINE)
    expected = {
        (
            flag_of(name),
            variable_of(name),
            f"`{default_of(name)}`" if default_of(name) else "",
            ServeSettings.model_fields[name].description,
        )
        for name in FIELDS
    }
    assert set(rows) == expected


def test_a_variable_that_is_misspelt_is_noticed():
    environment = {"ISTHMUS_KEYS_FLE": "keys", "ISTHMUS_KEYS_FILE": "keys", "ISTHMUS_THREADS": "1", "PATH": "/bin"}
    assert unknown_variables(environment) == ["ISTHMUS_KEYS_FLE"]
