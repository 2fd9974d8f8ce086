import math

import pytest

from detector.evaluation.tables import (
    Table,
    Value,
    body_rows,
    cell_text,
    decimals_for,
    highest,
    lowest,
    numeric_columns,
)


def table(columns: tuple[str, ...], *rows: tuple[Value, ...]) -> Table:
    return Table(title="t", columns=columns, rows=rows, note="")


@pytest.mark.parametrize(
    ("values", "decimals"), [([0.5, 1.0], 3), ([0.0313, 0.004], 4), ([1.5], 2), ([12.3], 1), ([900.0, 3.0], 0), ([], 3)]
)
def test_the_largest_float_of_a_column_is_shown_with_three_digits(values: list[Value], decimals: int) -> None:
    assert decimals_for(values) == decimals


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (-0.5, "−0.500"),
        (math.inf, "∞"),
        (12345, "12\u202f345"),
        ("pgd8", "pgd8"),
        (1.0, "1.000"),
        (math.nan, "–"),
    ],
)
def test_a_cell_is_written_as_a_careful_table_would(value: Value, text: str) -> None:
    assert cell_text(value, 3) == text


def test_a_figure_that_does_not_exist_leaves_its_column_numeric_and_has_no_place_in_the_order() -> None:
    figures = table(("attack", "auroc"), ("pgd8", 0.9), ("cw", None), ("df", math.nan))
    assert numeric_columns(figures) == (False, True)
    assert [row[1].sort_key for row in body_rows(figures)] == [0.9, None, None]


def test_text_that_starts_with_a_number_is_sorted_by_it() -> None:
    figures = table(("interval",), ("0.90–0.95",), ("−1.5 nats",))
    assert numeric_columns(figures) == (True,)
    assert [row[0].sort_key for row in body_rows(figures)] == [0.9, -1.5]


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 columns, but a row of 1"):
        table(("a", "b"), (1,))


def test_the_best_of_some_figures_is_found_ties_included_and_gaps_left_out() -> None:
    values = [0.9, None, 0.7, math.nan, 0.9]
    assert highest(values) == {0, 4}
    assert lowest(values) == {2}


def test_a_single_figure_and_equal_ones_are_not_the_best_of_anything() -> None:
    assert highest([0.9, None]) == lowest([None, 3]) == lowest([0.5, 0.5]) == set()


def test_cells_that_are_set_off_are_marked() -> None:
    figures = Table(title="t", columns=("a", "b"), rows=((1, 2), (3, 4)), note="", bold=frozenset({(1, 0)}))
    assert [[cell.is_bold for cell in row] for row in body_rows(figures)] == [[False, False], [True, False]]
