"""What the text in an exported program may say: names, whole numbers' arithmetic, and torch's own operations.

Torch evaluates sizes as Python, looks operations up by dotted names, and imports classes that containers name.
"""

import ast
import json
import re
from typing import Any

_NAME = re.compile(r"[\w.@+\-]*")
_FILE = re.compile(r"(weight|tensor)_\d+")
_OPERATION = re.compile(r"torch\.ops\.(aten|prims)\.\w+\.\w+")
_ARITHMETIC = re.compile(
    r"_operator\.(getitem|eq|ne|le|ge|lt|gt|neg|pos|mul|add|sub|floordiv|truediv|mod|pow|and_|or_|lshift|rshift)"
    r"|torch\.sym_(not|int|float|ite|max|min|sqrt)|math\.trunc"
)
REACHING_OUT = frozenset({"from_file", "_print", "save", "warn"})
"""Operations that touch more than tensors."""
_SYMBOL = re.compile(r"[a-z]{1,3}\d+")
_FUNCTION = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Mod|Max|Min|Abs|And|Or|Not|Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality"
    r"|(Strict)?(Less|Greater)Than|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilToInt|FloorToInt|CeilDiv"
    r"|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|IsNonOverlappingAndDenseIndicator|TruncToFloat"
    r"|TruncToInt|RoundToInt|RoundDecimal|ToFloat|Identity"
)
_EXPRESSION_NODES = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.Compare,
    ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict")
_LONGEST_EXPRESSION = 2000
# Strings of these are never looked at as more than strings.
_PLAIN_TEXTS = frozenset({"as_string", "as_strings", "nn_module_stack"})
_REFUSED = {
    "as_custom_obj": "an object that only code could bring to life",
    "as_graph": "a graph within its graph (as of torch.no_grad or control flow)",
    "as_operator": "an operation as an argument",
}


class UnsafeProgramError(Exception):
    """A program holds what is not let through; the message says what, in words that follow "is not loaded:"."""


def checked_graph(document: dict[str, Any]) -> dict[str, Any]:
    """The graph of a program on the CPU, without what is not needed to run it.

    Raises:
        UnsafeProgramError: it says something that could run code.
        KeyError, TypeError, AttributeError, ValueError: it is no such graph.
    """
    module = document["graph_module"]
    # Conditions on inputs would be run as Python; metadata may name anything.
    document["guards_code"] = []
    module["metadata"], module["treespec_namedtuple_fields"] = {}, {}
    module["module_call_graph"] = [entry for entry in module["module_call_graph"] if entry["fqn"] == ""]
    for node in module["graph"]["nodes"]:
        stack = node["metadata"].get("nn_module_stack")
        node["metadata"] = {} if stack is None else {"nn_module_stack": stack}
    _check(document, "")
    return document


def checked_configuration(document: dict[str, Any]) -> dict[str, Any]:
    """Which file of the archive holds which tensor, all on the CPU; raises as `checked_graph`."""
    for entry in document["config"].values():
        if entry["use_pickle"] or not _FILE.fullmatch(entry["path_name"]):
            raise UnsafeProgramError(f"it holds a pickled object ({str(entry['path_name'])!r}), which could run code")
    _check(document, "")
    return document


def _check(value: Any, key: str) -> None:
    if isinstance(value, dict):
        if key in ("device", "as_device"):
            value |= {"type": "cpu", "index": None}
        for inner, held in value.items():
            _check_name(inner)
            if inner in _REFUSED:
                raise UnsafeProgramError(f"it holds {_REFUSED[inner]}")
            _check(held, inner)
    elif isinstance(value, list):
        for held in value:
            _check(held, key)
    elif isinstance(value, str):
        _check_text(value, key)


def _check_text(text: str, key: str) -> None:
    if key == "target":
        _check_operation(text)
    elif key == "expr_str":
        _check_expression(text)
    elif key in ("in_spec", "out_spec"):
        _, container = json.loads(text)
        _check_container(container)
    elif key not in _PLAIN_TEXTS:
        _check_name(text)


def _check_name(text: str) -> None:
    if not _NAME.fullmatch(text):
        raise UnsafeProgramError(f"{text[:60]!r} is not a name as torch writes them")


def _check_operation(target: str) -> None:
    is_known = _OPERATION.fullmatch(target) and target.split(".")[3] not in REACHING_OUT
    if target.startswith("torch.ops.higher_order."):
        raise UnsafeProgramError(f"it calls {_REFUSED['as_graph']}; export the network without")
    if not is_known and not _ARITHMETIC.fullmatch(target):
        raise UnsafeProgramError(f"it calls {target[:80]!r}, which is not one of torch's operations on tensors")


def _check_expression(text: str) -> None:
    """Refuse all but arithmetic on symbols of sizes, like `Mul(Integer(2), Symbol('s0', positive=True))`."""
    refusal = UnsafeProgramError(f"the size {text[:60]!r} is more than arithmetic")
    if len(text) > _LONGEST_EXPRESSION:
        raise refusal
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError) as error:
        raise refusal from error
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
        is_odd_text = is_text and not _SYMBOL.fullmatch(str(getattr(node, "value", "")))
        is_odd_call = isinstance(node, ast.Call) and not isinstance(node.func, ast.Name)
        is_odd_name = isinstance(node, ast.Name) and not (_FUNCTION.fullmatch(node.id) or _SYMBOL.fullmatch(node.id))
        if not isinstance(node, _EXPRESSION_NODES) or is_odd_text or is_odd_call or is_odd_name:
            raise refusal


def _check_container(container: dict[str, Any]) -> None:
    """Refuse containers of inputs and outputs other than tuples, lists and dicts: their classes would be imported."""
    context = json.loads(container["context"] or "null")
    names = context if isinstance(context, list) else [] if context is None else [None]
    if container["type"] not in _CONTAINERS or not all(isinstance(n, str) and _NAME.fullmatch(n) for n in names):
        raise UnsafeProgramError("its inputs or outputs come in a container other than tuples, lists and dicts")
    for inner in container["children_spec"]:
        _check_container(inner)
