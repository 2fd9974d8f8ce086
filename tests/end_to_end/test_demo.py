import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_demonstration_tells_attacked_digits_from_clean_ones_and_shows_them(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("isthmus")), "demo", "--out", str(tmp_path / "demo"), "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    document = json.loads(run.stdout)
    assert document["bundle"] == "digits"
    assert document["accuracy"] > 0.95
    assert document["summary"]["mean_auroc"] > 0.95
    assert document["clean"]["flagged"]["0.05"] < 0.1
    assert json.loads((tmp_path / "demo" / "results.json").read_text()) == document
    page = (tmp_path / "demo" / "report.html").read_text()
    assert page.count("data:image/png;base64,") > 20
    assert "http://" not in page.replace("http://www.w3.org", "")
