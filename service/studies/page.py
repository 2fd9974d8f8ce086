"""The page of a study: findings, plots and tables in one HTML file that needs nothing else."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from detector.evaluation.tables import table_context
from service.studies.report import Finding, StudyReport


def render_study(report: StudyReport) -> str:
    """The page as HTML with drawings, style and script inline; equal reports give equal text."""
    environment = Environment(
        # Style sheet and script of tables are those of an evaluation's page.
        loader=ChoiceLoader([PackageLoader("service.studies"), PackageLoader("detector.evaluation")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("study.html.j2").render(
        report=report,
        findings=[(finding, *badge_of(finding)) for finding in report.findings],
        plots=[(plot, Markup(plot.svg)) for plot in report.plots],
        tables=[table_context(table) for table in report.tables],
    )


def badge_of(finding: Finding) -> tuple[str, str]:
    """The word for what the data say about a claim, and the sign that stands before it."""
    match finding.agrees:
        case True:
            return "agrees", "✓"
        case False:
            return "disagrees", "✗"
        case None:
            return "undecided", "?"
