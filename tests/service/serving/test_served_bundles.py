import hashlib
import shutil

import pytest

from detector.types import BundleError
from service.bundles import SHIPPED_BUNDLES, digest_of
from service.errors import InputError
from service.serving.served_bundles import EVERY, by_bundle, open_served, parse_bundle
from service.settings import ServeSettings


def test_a_bundle_is_called_by_its_own_name_its_folder_or_as_one_likes(tmp_path):
    folder = tmp_path / "mine-1"
    assert parse_bundle("digits") == ("digits", "digits")
    assert parse_bundle(str(folder)) == ("mine-1", str(folder))
    assert parse_bundle(f"other={folder}") == ("other", str(folder))
    assert parse_bundle(f"a={folder}=b") == ("a", f"{folder}=b")


@pytest.mark.parametrize(
    "text", ["", "=", "a=", "=folder", "a b=folder", "a/b=folder", "é=folder", "..=folder", "/", "/tmp/a b"]
)
def test_a_name_must_fit_into_a_path_of_a_url(text):
    with pytest.raises(InputError, match="NAME=FOLDER"):
        parse_bundle(text)


def test_the_digest_is_of_the_files_and_of_which_is_which(tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(SHIPPED_BUNDLES / "digits", folder)
    assert digest_of(str(folder)) == digest_of("digits")
    expected = hashlib.sha256()
    for name in ("bundle.json", "tensors.safetensors"):
        content = (folder / name).read_bytes()
        expected.update(f"{name} {len(content)}\n".encode() + content)
    assert digest_of("digits") == expected.hexdigest()
    with (folder / "bundle.json").open("a") as file:
        file.write("\n")
    assert digest_of(str(folder)) != digest_of("digits")


def test_several_are_served_in_order_and_no_two_of_one_name(tmp_path):
    settings = ServeSettings(bundles=("digits", f"again={SHIPPED_BUNDLES / 'digits'}"), device="cpu")
    served = open_served(settings)
    assert list(served) == ["digits", "again"]
    assert {bundle.digest for bundle in served.values()} == {digest_of("digits")}
    assert served["again"].labels == tuple("0123456789")
    with pytest.raises(InputError, match="two bundles are called 'digits'"):
        open_served(ServeSettings(bundles=("digits", "digits"), device="cpu"))


def test_there_must_be_one():
    with pytest.raises(InputError, match="--bundle"):
        open_served(ServeSettings(bundles=()))
    with pytest.raises(InputError, match="there is no bundle"):
        open_served(ServeSettings(bundles=("nowhere",)))


def test_a_classifier_is_for_one_bundle_or_for_all():
    assert by_bundle(["a=a.toml", "rest.toml"]) == {"a": "a.toml", EVERY: "rest.toml"}
    with pytest.raises(InputError, match="two classifiers are given for a;"):
        by_bundle(["a=a.toml", "a=b.toml"])


def test_a_bundle_is_served_with_the_classifier_that_is_given_for_it():
    settings = ServeSettings(bundles=("one=digits",), device="cpu", classifiers=("one=cifar10-resnet20",))
    with pytest.raises(BundleError, match="calibrated for digits"):
        open_served(settings)
    unknown = settings.model_copy(update={"classifiers": ("two=digits",)})
    with pytest.raises(InputError, match="given for 'two', and no bundle is called so; there is one"):
        open_served(unknown)
