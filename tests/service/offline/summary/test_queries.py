from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import InputError
from service.offline.summary.queries import MEMORY, SPILL, opened_results, result_files

Results = Callable[..., Path]


def test_rows_know_where_they_are_and_what_they_are(results_of: Results) -> None:
    folder = results_of(
        [{"path": "a/b/c.png", "p_value": 0.01}, {"path": "d.png", "p_value": None}],
        [{"path": "e.png"}, {"path": "f.png", "error": "gone"}],
    )
    columns = 'shard, "row", folder, is_judged, is_decided, is_adversarial, is_flagged'
    with opened_results(folder) as results:
        rows = results.rows(f"SELECT {columns} FROM images ORDER BY path")
    assert [tuple(row.values()) for row in rows] == [
        (0, 0, "a/b", True, True, True, True),
        (0, 1, ".", True, False, False, True),
        (1, 0, ".", True, True, False, False),
        (1, 1, ".", False, False, False, False),
    ]


def test_folders_whose_names_are_patterns_or_have_quotes_are_opened(results_of: Results) -> None:
    for name in ("a[1]", "b*", "c?", "path=d", 'it\'s "this"', "größe 数"):
        with opened_results(results_of([{"path": "a"}], name=name)) as results:
            assert results.rows("SELECT path FROM images") == [{"path": "a"}]


def test_files_that_are_no_shards_are_passed_over(results_of: Results) -> None:
    folder = results_of([{"path": "a"}], [{"path": "b"}])
    (folder / "results" / ".00000002.parquet.12.partial").write_bytes(b"half")
    assert [path.name for path in result_files(folder)] == ["00000000.parquet", "00000001.parquet"]


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no results of an audit"), opened_results(tmp_path):
        pass


def test_damaged_results_are_said_to_be(results_of: Results) -> None:
    folder = results_of([{"path": "a"}])
    (folder / "results" / "00000000.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="are damaged"), opened_results(folder) as results:
        results.rows("SELECT path FROM images")


def test_what_memory_cannot_hold_is_written_below_the_folder_and_removed(results_of: Results) -> None:
    folder = results_of([{"path": "a"}])
    (folder / SPILL).mkdir()
    (folder / SPILL / "of a process that was killed").write_bytes(b"")
    with opened_results(folder) as results:
        assert not (folder / SPILL).exists()
        # 100 MB at a limit of 32, in no order that could be given back piece by piece.
        results.execute("SET memory_limit = '32MB'")
        results.execute("CREATE TEMP TABLE large AS SELECT hash(i) AS h, hash(-i) AS g FROM range(6_000_000) AS r(i)")
        assert (folder / SPILL).exists()
    assert not (folder / SPILL).exists()


def test_memory_is_limited_whatever_the_machine_has(results_of: Results) -> None:
    with opened_results(results_of([{"path": "a"}])) as results:
        (row,) = results.rows("SELECT current_setting('memory_limit') AS memory")
    # DuckDB says it in units of 1,024.
    assert (MEMORY, row["memory"]) == ("256MB", "244.1 MiB")


def test_a_full_disk_is_an_os_error(results_of: Results) -> None:
    folder = results_of([{"path": "a"}])
    with pytest.raises(OSError, match="could not be summed up"), opened_results(folder) as results:
        results.execute("SET memory_limit = '32MB'")
        results.execute("SET max_temp_directory_size = '1MB'")
        results.execute("CREATE TEMP TABLE large AS SELECT hash(i) AS h, hash(-i) AS g FROM range(6_000_000) AS r(i)")
    assert not (folder / SPILL).exists()


def test_queries_take_what_they_are_told_as_values(results_of: Results) -> None:
    with opened_results(results_of([{"path": "it's"}, {"path": "b"}])) as results:
        assert results.rows("SELECT path FROM images WHERE path = $path", path="it's") == [{"path": "it's"}]
