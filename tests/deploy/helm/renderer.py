"""Helm's Go library in a process of its own, away from the tests' signals and threads; run by conftest.py.

Reads a JSON object a line (`chart`, and `lint` or `values` with `name`) and answers each with one.
"""

import json
import sys
from typing import Any

import helm_python


def answered(ask: dict[str, Any]) -> Any:
    """What was asked for, or {"refused": MESSAGE}."""
    try:
        if "lint" in ask:
            return helm_python.lint(ask["chart"], ask["lint"], strict=True)
        with helm_python.Chart.load(ask["chart"]) as chart:
            return chart.render(ask["values"], name=ask["name"], namespace="vision")
    except (helm_python.HelmValuesError, helm_python.HelmRenderError) as error:
        return {"refused": str(error)}


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answered(json.loads(line))) + "\n")
        sys.stdout.flush()
