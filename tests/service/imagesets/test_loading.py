import logging
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from service.errors import InputError
from service.imagesets import cifar10, load_image_set

LABELS = ("cat", "dog")


def make_folders(root, names, n_images=2):
    for value, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for index in range(n_images):
            Image.new("RGB", (8, 8), (value, index, 0)).save(root / name / f"{index}.png")
    return str(root)


def make_npz(path, **changes):
    arrays = {"images": np.zeros((4, 8, 8, 3), dtype=np.uint8), "labels": np.array([0, 1, 0, 1])} | changes
    arrays["images"] = arrays["images"].copy()
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return str(path)


def make_parquet(path, images, labels):
    pq.write_table(pa.table({"image": images, "label": labels}), path)
    return str(path)


class TestFolders:
    def test_classes_are_matched_by_name(self, tmp_path, colour):
        loaded = load_image_set(make_folders(tmp_path, ["dog", "cat"]), colour, labels=LABELS)
        assert loaded.labels.tolist() == [0, 0, 1, 1]
        assert loaded.images[:, 0, 0, 0].tolist() == [1, 1, 0, 0]
        assert loaded.images.shape == (4, 3, 8, 8)

    def test_a_part_of_the_labels_is_enough_when_names_match(self, tmp_path, colour):
        loaded = load_image_set(make_folders(tmp_path, ["Dog"]), colour, labels=LABELS)
        assert loaded.labels.tolist() == [1, 1]

    def test_other_names_are_taken_in_sorted_order_when_the_count_matches(self, tmp_path, colour, caplog):
        with caplog.at_level(logging.INFO, logger="service"):
            loaded = load_image_set(make_folders(tmp_path, ["n02", "n01"]), colour, labels=LABELS)
        assert loaded.labels.tolist() == [0, 0, 1, 1]
        assert loaded.images[:, 0, 0, 0].tolist() == [1, 1, 0, 0]
        assert "in their order" in caplog.text

    @pytest.mark.parametrize("names", [["cat", "dgo"], ["a", "b", "c"], ["a"]])
    def test_classes_that_fit_in_part_are_refused_rather_than_guessed(self, tmp_path, colour, names):
        with pytest.raises(InputError, match="not among the classifier's 2 labels"):
            load_image_set(make_folders(tmp_path, names), colour, labels=LABELS)

    def test_a_limit_keeps_every_class(self, tmp_path, colour):
        loaded = load_image_set(make_folders(tmp_path, LABELS, n_images=10), colour, labels=LABELS, limit=4)
        assert loaded.labels.tolist() == [0, 0, 1, 1]

    def test_a_damaged_image_is_named(self, tmp_path, colour):
        source = make_folders(tmp_path, LABELS)
        (tmp_path / "dog" / "broken.png").write_bytes(b"")
        with pytest.raises(InputError, match=r"broken\.png: the file is empty"):
            load_image_set(source, colour, labels=LABELS)

    def test_a_folder_without_class_folders_is_refused(self, tmp_path, colour):
        with pytest.raises(InputError, match="no class folders"):
            load_image_set(str(tmp_path), colour, labels=LABELS)

    def test_class_folders_without_images_are_refused(self, tmp_path, colour):
        with pytest.raises(InputError, match="holds no image"):
            load_image_set(make_folders(tmp_path, LABELS, n_images=0), colour, labels=LABELS)

    def test_progress_tells_of_every_image(self, tmp_path, colour):
        calls = []
        load_image_set(
            make_folders(tmp_path, LABELS), colour, labels=LABELS, progress=lambda *call: calls.append(call[1:])
        )
        assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


class TestNpz:
    def test_images_come_with_the_channel_first(self, tmp_path, colour):
        images = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
        loaded = load_image_set(make_npz(tmp_path / "a.npz", images=images), colour, labels=LABELS)
        assert np.array_equal(loaded.images.numpy(), images.transpose(0, 3, 1, 2))
        assert loaded.labels.tolist() == [0, 1, 0, 1]

    def test_classes_are_matched_by_name(self, tmp_path, colour):
        source = make_npz(tmp_path / "a.npz", classes=np.array(["dog", "cat"]))
        assert load_image_set(source, colour, labels=LABELS).labels.tolist() == [1, 0, 1, 0]

    def test_images_that_are_not_exact_are_left_out_and_that_is_said(self, tmp_path, colour, caplog):
        source = make_npz(tmp_path / "a.npz", exact=np.array([True, False, False, True]))
        with caplog.at_level(logging.INFO, logger="service"):
            loaded = load_image_set(source, colour, labels=LABELS)
        assert loaded.labels.tolist() == [0, 1]
        assert "2 of 4 images" in caplog.text

    def test_a_limit_counts_the_images_that_are_used(self, tmp_path, colour):
        source = make_npz(tmp_path / "a.npz", exact=np.array([False, True, True, True]))
        assert load_image_set(source, colour, labels=LABELS, limit=2).labels.tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"labels": np.array([0, 1, 0, 2])}, "the label of image 3 is 2"),
            ({"labels": np.array([0, -1, 0, 1])}, "the label of image 1 is -1"),
            ({"labels": np.array([0.0, 1.0, 0.0, 1.0])}, "whole numbers"),
            ({"labels": np.array([[0, 1, 0, 1]])}, "labels"),
            ({"labels": np.array([0, 1])}, "4 images and 2 labels"),
            ({"labels": None}, "no array labels"),
            ({"labels": np.array([None] * 4)}, "plain arrays"),
            ({"images": np.zeros((4, 8, 8, 3))}, "uint8 of shape"),
            ({"images": np.zeros((4, 8, 8), dtype=np.uint8)}, "uint8 of shape"),
            ({"images": np.zeros((4, 8, 8, 1), dtype=np.uint8)}, "the classifier takes"),
            ({"images": np.zeros((4, 9, 8, 3), dtype=np.uint8)}, "the classifier takes"),
            ({"images": np.zeros((0, 8, 8, 3), dtype=np.uint8), "labels": np.array([], dtype=int)}, "no image"),
            ({"exact": np.array([1, 0, 0, 1])}, "truth value"),
            ({"exact": np.zeros(4, dtype=bool)}, "no image"),
            ({"classes": np.array(["cat", "bird"])}, "not among"),
        ],
    )
    def test_arrays_that_do_not_fit_are_named(self, tmp_path, colour, changes, message):
        with pytest.raises(InputError, match=message):
            load_image_set(make_npz(tmp_path / "a.npz", **changes), colour, labels=LABELS)

    @pytest.mark.parametrize("share", [0, 0.3, 0.9])
    def test_a_truncated_file_is_refused(self, tmp_path, colour, share):
        path = tmp_path / "a.npz"
        make_npz(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(InputError, match="not an intact"):
            load_image_set(str(path), colour, labels=LABELS)


class TestParquet:
    @pytest.mark.parametrize("in_struct", [True, False])
    def test_encoded_images_are_decoded(self, tmp_path, colour, encoded, in_struct):
        images = [encoded(Image.new("RGB", (8, 8), (value, 0, 0))) for value in range(3)]
        column = [{"bytes": data, "path": None} for data in images] if in_struct else images
        loaded = load_image_set(make_parquet(tmp_path / "a.parquet", column, [0, 1, 0]), colour, labels=LABELS)
        assert loaded.images[:, 0, 0, 0].tolist() == [0, 1, 2]
        assert loaded.labels.tolist() == [0, 1, 0]

    def test_a_limit_is_spread_over_all_row_groups(self, tmp_path, colour, encoded):
        images = [encoded(Image.new("RGB", (8, 8), (value, 0, 0))) for value in range(200)]
        source = make_parquet(tmp_path / "a.parquet", images, [0] * 200)
        loaded = load_image_set(source, colour, labels=LABELS, limit=4)
        assert loaded.images[:, 0, 0, 0].tolist() == [0, 50, 100, 150]

    def test_a_damaged_image_is_named_by_its_row(self, tmp_path, colour, encoded):
        source = make_parquet(tmp_path / "a.parquet", [encoded(Image.new("RGB", (8, 8))), b"text"], [0, 1])
        with pytest.raises(InputError, match="row 1: not an image"):
            load_image_set(source, colour, labels=LABELS)

    @pytest.mark.parametrize(
        ("images", "labels", "message"),
        [
            ([b"x", None], [0, 1], "row 0: not an image"),
            ([None, b"x"], [0, 1], "row 0: the image is missing"),
            ([b"x"], [2], "the label of image 0 is 2"),
            ([b"x"], [0.5], "whole numbers"),
            ([b"x", b"x"], [0, None], "1 of 2 labels are missing"),
            (["x"], [0], "encoded images as bytes"),
            (pa.array([], pa.binary()), pa.array([], pa.int64()), "no image"),
        ],
    )
    def test_columns_that_do_not_fit_are_named(self, tmp_path, colour, images, labels, message):
        with pytest.raises(InputError, match=message):
            load_image_set(make_parquet(tmp_path / "a.parquet", images, labels), colour, labels=LABELS)

    def test_a_missing_column_is_named(self, tmp_path, colour):
        pq.write_table(pa.table({"img": [b"x"], "label": [0]}), tmp_path / "a.parquet")
        with pytest.raises(InputError, match="no column image"):
            load_image_set(str(tmp_path / "a.parquet"), colour, labels=LABELS)

    @pytest.mark.parametrize("share", [0, 0.5, 0.95])
    def test_a_truncated_file_is_refused(self, tmp_path, colour, encoded, share):
        path = tmp_path / "a.parquet"
        make_parquet(path, [encoded(Image.new("RGB", (8, 8)))] * 2, [0, 1])
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(InputError, match="not an intact Parquet file"):
            load_image_set(str(path), colour, labels=LABELS)


class TestCifar10:
    class Dataset:
        classes = ("cat", "dog")
        data = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), dtype=np.uint8)
        targets = (0, 1, 1)

    def test_the_word_means_the_training_images(self, colour, monkeypatch):
        asked = {}

        def open_dataset(folder, **options):
            asked.update(options)
            return self.Dataset

        monkeypatch.setattr(cifar10, "open_dataset", open_dataset)
        loaded = load_image_set("cifar10", colour, labels=LABELS)
        assert asked == {"train": True, "download": False}
        assert loaded.labels.tolist() == [0, 1, 1]
        assert loaded.images[:, 0, 0, 0].tolist() == [0, 1, 2]

    def test_nothing_is_fetched_unless_asked(self, tmp_path, colour, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with pytest.raises(InputError, match="add --download"):
            load_image_set("cifar10:test", colour, labels=LABELS)

    def test_a_download_that_fails_is_one_clear_error(self, tmp_path, colour, monkeypatch):
        def offline(*arguments, **options):
            raise OSError("Name or service not known")

        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr(
            cifar10, "import_torchvision", lambda: SimpleNamespace(datasets=SimpleNamespace(CIFAR10=offline))
        )
        with pytest.raises(InputError, match="could not be fetched"):
            load_image_set("cifar10", colour, labels=LABELS, download=True)


@pytest.mark.parametrize("name", ["absent.npz", "absent", ""])
def test_a_missing_source_is_named(tmp_path, colour, name):
    with pytest.raises(InputError, match=r"does not exist|no class folders"):
        load_image_set(str(tmp_path / name), colour, labels=LABELS)


def test_a_file_of_another_kind_is_refused(tmp_path, colour):
    (tmp_path / "a.csv").write_text("0,1")
    with pytest.raises(InputError, match=r"ends in \.npz or \.parquet"):
        load_image_set(str(tmp_path / "a.csv"), colour, labels=LABELS)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_leaves_nothing_is_refused(tmp_path, colour, limit):
    with pytest.raises(InputError, match="leaves none"):
        load_image_set(make_npz(tmp_path / "a.npz"), colour, labels=LABELS, limit=limit)
