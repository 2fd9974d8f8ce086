import io
import math

from rich.console import Console

from detector.evaluation.tables import Table
from service.terminal_tables import rendered

TABLE = Table(
    title="Figures [of] it",
    columns=("attack", "AUROC", "L2"),
    rows=(("pgd [8]", 0.875, 1), ("evil\x1b[2J", None, math.nan)),
    note="",
    bold=frozenset({(0, 1)}),
)


def printed(table: Table, **options: object) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=bool(options.get("colour")), highlight=False)
    console.print(rendered(table, leave_out=("L2",) if options.get("narrow") else ()))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_figures_have_three_decimals_and_what_does_not_exist_a_dash() -> None:
    lines = printed(TABLE).splitlines()
    assert any(line.split() == ["pgd", "[8]", "0.875", "1"] for line in lines)
    assert any(line.split()[-2:] == ["–", "–"] for line in lines)
    assert "Figures [of] it" in printed(TABLE)


def test_a_cell_that_is_set_off_is_bold_and_its_neighbours_are_not() -> None:
    assert "\x1b[1m0.875\x1b[0m" in printed(TABLE, colour=True)
    assert "\x1b[1mpgd" not in printed(TABLE, colour=True)


def test_columns_can_be_left_out_and_names_cannot_command_the_terminal() -> None:
    assert "L2" in printed(TABLE) and "L2" not in printed(TABLE, narrow=True)
    assert "\x1b[2J" not in printed(TABLE)


def test_where_room_is_short_names_are_broken_and_figures_stay_whole() -> None:
    table = Table(
        title="t",
        columns=("attack that knows it", *(f"figure number {index}" for index in range(7))),
        rows=(("Orthogonal projected gradient descent, 80 steps", *(0.125,) * 7),),
        note="",
    )
    console = Console(file=io.StringIO(), width=80, highlight=False)
    console.print(rendered(table))
    file = console.file
    assert isinstance(file, io.StringIO)
    assert file.getvalue().count("0.125") == 7 and "…" not in file.getvalue()
