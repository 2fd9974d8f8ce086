from service.viewing.queries import BINS
from service.viewing.selection import Kind, Order, Selection, condition_of


def test_the_numbers_are_those_on_paper(asked, row):
    rows = [row(path=str(n), p_value=(n + 1) / 100, kind="adversarial" if n < 5 else "clean") for n in range(100)]
    rows += [row(path="u", p_value=None, kind="undecided"), row(path="x", kind="unreadable")]
    overview = asked(rows).overview(Selection(), None)
    # 0.05 is the last of the first bin, as 1 is of the last.
    assert overview.histogram == [5] * BINS
    assert overview.kinds == {"flagged": 6, "adversarial": 5, "undecided": 1, "clean": 95, "unreadable": 1}
    assert (overview.n_images, overview.n_without_p_value) == (102, 2)


def test_kinds_are_counted_as_if_none_were_chosen_and_the_rest_as_it_is(asked, row):
    queries = asked(
        [
            row(path="a/1", kind="adversarial", p_value=0.01),
            row(path="a/2", kind="clean", p_value=0.98),
            row(path="b/3", kind="clean", p_value=0.98),
        ]
    )
    overview = queries.overview(Selection(kind=Kind.FLAGGED, folder="a"), None)
    assert (overview.kinds["adversarial"], overview.kinds["clean"]) == (1, 1)
    assert (overview.n_images, sum(overview.histogram), overview.histogram[0]) == (1, 1, 1)


def test_the_smallest_and_the_largest_p_value_have_a_bin(asked, row):
    histogram = asked([row(path="a", p_value=1e-9), row(path="b", p_value=1.0)]).overview(Selection(), None).histogram
    assert (histogram[0], histogram[-1], sum(histogram)) == (1, 1, 2)


def test_no_images_give_no_numbers(asked):
    overview = asked([]).overview(Selection(), None)
    assert (overview.n_images, overview.histogram, overview.kinds["flagged"]) == (0, [0] * BINS, 0)
    assert asked([]).choices() == {"label_name": [], "given_label": [], "suspected_label_name": [], "folder": []}


def test_choices_are_the_names_there_are_with_how_many_have_them(asked, row):
    choices = asked(
        [
            row(path="b/1", label=1, kind="adversarial", given="<b>"),
            row(path="a/c/2", label=1),
            row(path="a/c/3", label=0, kind="unreadable"),
            row(path="4", label=0),
        ]
    ).choices()
    assert choices["label_name"] == [("dog", 2), ("cat", 1)]
    assert choices["given_label"] == [("<b>", 1)]
    assert choices["folder"] == [("b", 1), ("a/c", 0)]


def test_duplicates_are_found_by_their_pixels_in_every_shard(asked, row):
    rows = [row(path=str(n), seed=n % 4) for n in range(9)]
    queries = asked(rows)
    first = queries.page(Selection(), None, order=Order.SOURCE, descends=False, place=None, n=1).rows[0]
    found, n_images = queries.duplicates(first["digest"])
    assert ([other["path"] for other in found], n_images) == (["0", "4", "8"], 3)


def test_rows_are_handed_out_by_shard_with_the_rank_they_have_in_all(asked, row):
    queries = asked([row(path=str(n), p_value=1 - n / 10) for n in range(5)])
    everything = condition_of(Selection(), None)
    assert list(queries.by_shard(everything)) == [(0, [0, 1, 2]), (1, [0, 1])]
    assert list(queries.ranked(everything, None)) == [(0, [(0, 5), (1, 4), (2, 3)]), (1, [(0, 2), (1, 1)])]
    assert list(queries.ranked(everything, 3)) == [(0, [(2, 3)]), (1, [(0, 2), (1, 1)])]
