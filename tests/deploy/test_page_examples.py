"""The checker of examples finds what is wrong: a checker that passes everything would be worth nothing."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

# Not the folder above it, whose `triton` torch would take for the package.
sys.path.insert(0, str(Path(__file__).parent / "examples"))

from page_examples.checks import problems_of_page
from page_examples.isthmus_commands import problems_of_mention
from page_examples.pages import anchors, blocks, broken_links, spans
from page_examples.shell import ShellError, parse

OPERATIONS = Path(__file__).parents[2] / "deploy" / "OPERATIONS.md"


def shell(*lines):
    return "\n".join(["```", *lines, "```"])


GOOD = [
    "isthmus detect --json photo.png",
    "isthmus --threads 2 audit --images uploads --out audit",
    "isthmus serve --bundle mine=my-bundle --port 0 --log-format text",
    "PYTHONSAFEPATH=1 ISTHMUS_QUEUE_IMAGES=64 /opt/isthmus/bin/isthmus serve",
    "curl -F files=@a.png 'http://127.0.0.1:8080/v1/detect?bundle=mine'",
    "curl -X DELETE localhost:8080/v1/audits/ID",
    "curl -s http://127.0.0.1:9090/metrics | grep isthmus_live",
    "python deploy/load/run.py --url http://127.0.0.1:8080 --images sample --rate 20",
    "pip install -e '.[onnx,ray]'",
    "helm upgrade isthmus deploy/helm/isthmus --set replicas=3,settings.queueImages=64 --set image.tag=0.1.0",
    "kubectl apply -f deploy/kubernetes/audit-job.yaml",
    "docker build --build-arg ACCELERATOR=cpu --tag isthmus:0.1.0-cpu .",
]

WRONG = [
    ("isthmus detect --jsn photo.png", "--jsn"),
    ("isthmus detct photo.png", "detct"),
    ("isthmus detect", "IMAGE"),
    ("isthmus audit --images uploads --out audit --shard-size 3", "16"),
    ("isthmus serve --queue-image 5", "--queue-image"),
    ("isthmus serve --queue-images many", "many"),
    ("isthmus serve --runtime tensorflow", "runtime"),
    ("isthmus info not-there", "nothing on the page makes not-there"),
    ("isthmus detect missing.png", "nothing on the page makes missing.png"),
    ("ISTHMUS_QUEUE_IMAGE=64 isthmus serve", "ISTHMUS_QUEUE_IMAGE"),
    ("curl http://127.0.0.1:8080/v1/detects", "/v1/detects"),
    ("curl http://127.0.0.1:8080/v1/detect", "GET /v1/detect"),
    ("curl -X PUT localhost:8080/v1/audits/ID", "PUT"),
    ("curl --form files=@a.png http://127.0.0.1:8080/v1/detect", "--form"),
    ("curl http://127.0.0.1:9090/metric", "9090"),
    ("python deploy/load/run.py --url http://host --pace 3", "--pace"),
    ("python deploy/load/runs.py", "deploy/load/runs.py"),
    ("pip install 'isthmus[onyx]'", "onyx"),
    ("helm upgrade isthmus deploy/helm/isthmus --set replica=3", "replica"),
    ("helm upgrade isthmus deploy/helm/isthmus --set settings.queueImage=3", "queueImage"),
    ("helm upgrade isthmus deploy/helm/ismus", "deploy/helm/ismus"),
    ("kubectl aply -f deploy/kubernetes/audit-job.yaml", "aply"),
    ("kubectl apply -f audit-jobs.yaml", "audit-jobs.yaml"),
    ("kubectl rollout status deployment/isthmus | isthms", "isthms"),
    ("docker build --build-arg ACELERATOR=cpu .", "ACELERATOR"),
    ("docker run -e ISTHMUS_PROT=1 isthmus:0.1.0", "ISTHMUS_PROT"),
    ("cat deploy/OPERATION.md", "deploy/OPERATION.md"),
    ("echo 'never closed", "no closing '"),
    ('curl -d "$(isthmus detect --jsn a.png)" -X POST localhost:8080/v1/audits', "--jsn"),
]


@pytest.mark.parametrize("line", GOOD)
def test_a_right_example_passes(line):
    assert problems_of_page(shell(line)) == []


@pytest.mark.parametrize(("line", "named"), WRONG)
def test_a_wrong_example_is_found_and_named(line, named):
    problems = problems_of_page(shell(line))
    assert problems
    assert named in " ".join(problems)


def test_every_option_of_isthmus_on_the_operations_page_may_not_be_misspelt():
    text = OPERATIONS.read_text(encoding="utf-8")
    commands = [block.text for block in blocks(text) if "isthmus " in block.text]
    lines = [line for command in commands for line in command.splitlines() if line.startswith("isthmus ")]
    assert len(lines) >= 8
    for line in lines:
        for flag in re.findall(r" --[a-z-]+", line):
            assert any("o such option" in found for found in problems_of_page(shell(line.replace(flag, f"{flag}x", 1))))


def test_what_an_earlier_command_makes_a_later_one_may_use():
    calibrate = "isthmus calibrate --classifier digits --images digits:train --held-out digits:held-out --out own"
    use = "isthmus serve --bundle mine=own"
    assert problems_of_page(shell(calibrate) + "\n\n" + shell(use)) == []
    assert len(problems_of_page(shell(use) + "\n\n" + shell(calibrate))) == 1


@pytest.mark.parametrize(
    ("language", "text", "named"),
    [
        ("python", "from service.client import Klient", "Klient"),
        ("python", "import not_there_at_all", "not_there_at_all"),
        ("python", "with open(", "Python"),
        ("toml", 'name = "a"\nmodel = "a.onnx"\nlables = ["x", "y"]', "lables"),
        (
            "toml",
            'name = "a"\nmodel = "a.onnx"\nlabels_file = "l"\ninput_size = [8]\nmean = [0]\nstd = [1]',
            "input_size",
        ),
        ("toml", "a = ", "TOML"),
        ("yaml", "a: [", "YAML"),
        ("yaml", "# values.yaml\nreplica: 3", "replica"),
        ("json", "{'a': 1}", "JSON"),
        ("ruby", "puts 1", "ruby"),
    ],
)
def test_blocks_that_are_no_commands_are_read_too(language, text, named):
    problems = problems_of_page(f"```{language}\n{text}\n```")
    assert problems
    assert named in " ".join(problems)


def test_a_command_that_the_prose_mentions_must_know_its_options():
    assert problems_of_mention("isthmus audit --verify DIR") == []
    assert problems_of_mention("isthmus --threads N audit") == []
    assert problems_of_mention("isthmus audit --verfy DIR")
    assert problems_of_mention("isthmus adit --verify DIR")


def test_a_shell_text_is_taken_apart_as_a_shell_does():
    commands = parse("A=1 b 'c d' \"e $F\" \\\n  g > h  # i\nj | k && l; m <<X\nno command\nX\nn < o 2>&1")
    assert [command.words for command in commands] == [["b", "c d", "e $F", "g"], *(["j"], ["k"], ["l"], ["m"], ["n"])]
    assert (commands[0].variables, commands[0].written, commands[-1].read) == (["A=1"], ["h"], ["o"])


def test_substitutions_are_commands_too():
    assert [command.words[0] for command in parse('a "$(b $(c))" "d#e" f#g')] == ["a", "b", "c"]
    with pytest.raises(ShellError):
        parse('a "$(b"')


def test_prompts_are_taken_off_and_what_is_printed_is_left_out():
    assert [command.words for command in parse("$ a b\nprinted | text\n$ c")] == [["a", "b"], ["c"]]


def test_an_alias_stands_for_what_it_means():
    assert problems_of_page(shell("alias ours='isthmus serve'", "ours --port 0")) == []
    assert problems_of_page(shell("alias ours='isthmus srve'"))
    assert problems_of_page(shell("alias ours='isthmus serve'", "ours --prot 0"))


def test_blocks_are_found_fenced_and_indented():
    page = "text\n\n    isthmus serve\n\n```toml\na = 1\n```\n\n    name = 'x'\n\n1. item\n   ```sh\n   ls\n   ```\n"
    assert [(block.language, block.text) for block in blocks(page)] == [
        ("sh", "isthmus serve"),
        ("toml", "a = 1"),
        ("toml", "name = 'x'"),
        ("sh", "ls"),
    ]
    assert [block.language for block in blocks("```\nfolder/a.txt\nfolder/b/c.txt\n```\n")] == ["text"]
    assert [block.language for block in blocks("```\n[outputs.#(name)]\n```\n")] == ["text"]
    assert spans("`a` and\n```\n`b`\n```\n") == ["a"]


def test_links_must_lead_to_files_and_headings(tmp_path):
    (tmp_path / "other.md").write_text("# Two words, and `code`\n")
    page = tmp_path / "page.md"
    page.write_text("## Here\n[a](other.md) [b](other.md#two-words-and-code) [c](#here) [d](https://example.org)\n")
    assert broken_links(page) == []
    page.write_text("[a](absent.md) [b](other.md#three-words) [c](#here)\n")
    assert len(broken_links(page)) == 3
    assert anchors("# IsthmusDown\n```\n# no heading\n```\n") == {"isthmusdown"}


def test_no_folder_of_these_tests_is_taken_for_the_package_of_its_name():
    for name in ("triton", "helm", "kserve", "image"):
        spec = importlib.util.find_spec(name)
        places = list(spec.submodule_search_locations or ()) if spec else []
        assert not [place for place in places if str(Path(__file__).parent) in place], name
