"""Matplotlib figures as SVG fragments: deterministic, free of ids that collide, coloured by the page that holds them.

Figures are drawn in stand-in colours; each becomes a colour of the page's style sheet, so that one drawing reads in
light and dark.
"""

import enum
import functools
import io
import re
from collections.abc import Callable
from typing import Any, ParamSpec
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

Parameters = ParamSpec("Parameters")

N_SERIES = 8
"""Colours `--series-0` … of the style sheet."""


class Ink(enum.StrEnum):
    """Stand-in colours; `_CSS` says which colour of the page each becomes."""

    TEXT = "#010101"
    FAINT = "#010102"
    RULE = "#010103"
    ACCENT = "#010104"
    WARNING = "#010105"


_CSS = {
    Ink.TEXT: "currentColor",
    Ink.FAINT: "var(--faint)",
    Ink.RULE: "var(--rule)",
    Ink.ACCENT: "var(--accent)",
    Ink.WARNING: "var(--warning)",
}
_COLOURS = {str(ink): css for ink, css in _CSS.items()}
_COLOURS |= {f"#0102{index:02x}": f"var(--series-{index})" for index in range(N_SERIES)}

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "isthmus",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": Ink.TEXT,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "axes.edgecolor": Ink.FAINT,
    "axes.labelcolor": Ink.TEXT,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": Ink.FAINT,
    "ytick.color": Ink.FAINT,
    "xtick.labelcolor": Ink.TEXT,
    "ytick.labelcolor": Ink.TEXT,
    "grid.color": Ink.RULE,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
}


def series_ink(index: int) -> str:
    """Stand-in colour of the curve with this index; they repeat after `N_SERIES`."""
    return f"#0102{index % N_SERIES:02x}"


def styled(draw: Callable[Parameters, str]) -> Callable[Parameters, str]:
    """Run a drawing function under the page's plot style, whatever the user's own matplotlib settings are."""

    @functools.wraps(draw)
    def draw_styled(*args: Parameters.args, **kwargs: Parameters.kwargs) -> str:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            return draw(*args, **kwargs)

    return draw_styled


def inline_svg(figure: Figure, *, label: str, prefix: str, is_stretched: bool = False) -> str:
    """The figure as an `<svg>` element for a page.

    Args:
        figure: drawn in colours of `Ink` and `series_ink`, inside a `styled` function.
        label: what a screen reader says.
        prefix: put before every id; must differ between the figures of one page.
        is_stretched: the drawing fills its box in both directions instead of keeping its proportions.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _clean(root, prefix)
    width, height = (round(float(size)) for size in root.attrib["viewBox"].split()[2:])
    view_box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib |= {"viewBox": view_box, "role": "img", "aria-label": label}
    if is_stretched:
        root.attrib["preserveAspectRatio"] = "none"
    else:
        root.attrib |= {"width": str(width), "height": str(height)}
    return ElementTree.tostring(root, encoding="unicode")


def _clean(root: ElementTree.Element, prefix: str) -> None:
    """Drop what a page must not hold: metadata, style elements (they reach out of the drawing), foreign ids."""
    referenced = set(re.findall(r"url\(#([^)]+)\)", " ".join(_attribute_values(root))))
    referenced |= {value[1:] for element in root.iter() if (value := element.get(_XLINK + "href", "")).startswith("#")}
    for parent in list(root.iter()):
        parent.tag = parent.tag.removeprefix(_SVG)
        parent.text = parent.text if parent.text and parent.text.strip() else None
        for child in list(parent):
            child.tail = None
            if child.tag in {_SVG + "metadata", _SVG + "style"}:
                parent.remove(child)
        attributes = {name.removeprefix(_XLINK): value for name, value in parent.attrib.items()}
        if attributes.get("id") not in referenced:
            attributes.pop("id", None)
        parent.attrib = {name: _rewritten(name, value, prefix) for name, value in attributes.items()}


_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"


def _attribute_values(root: ElementTree.Element) -> list[str]:
    return [value for element in root.iter() for value in element.attrib.values()]


def _rewritten(name: str, value: str, prefix: str) -> str:
    match name:
        case "id":
            return prefix + value
        case "href":
            return value.replace("#", f"#{prefix}", 1)
        case "clip-path":
            return value.replace("url(#", f"url(#{prefix}")
        case "style" | "fill" | "stroke":
            # The page's own fonts: matplotlib's would differ from the text around the drawing.
            value = re.sub(r"font-family:[^;]*;?\s*|font:[^;]*;?\s*(?=$)", "", value)
            return re.sub(r"#[0-9a-f]{6}\b", lambda match: _COLOURS.get(match[0], match[0]), value)
        case _:
            return value
