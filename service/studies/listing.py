"""The list of studies, for whoever asks without knowing one; imports nothing heavy."""

from service.console import results, write_json
from service.studies.catalogue import STUDIES


def list_studies(*, json: bool) -> None:
    """Print every study's name and what it asks."""
    if json:
        write_json({"studies": [{"name": entry.name, "line": entry.line, "limit": entry.unit} for entry in STUDIES]})
        return
    width = max(len(entry.name) for entry in STUDIES)
    for entry in STUDIES:
        results.print(f"{entry.name:{width}}  {entry.line} --limit counts {entry.unit}.", markup=False)
