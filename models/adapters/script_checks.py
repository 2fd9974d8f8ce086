"""What the code in a TorchScript file may say: torch's operations on tensors, Python's on numbers, lists and texts.

A script calls operations by name (`torch.relu`, `ops.aten.relu`, `x.relu`, `getattr(x, "relu")`), and torch knows some
that write files, read them or print. Its code is split into tokens more narrowly than torch does, so that nothing it
would take for code goes unseen here: what is written in another way than torch writes it is refused.
"""

import functools
import re
from collections.abc import Sequence

import torch

from models.adapters.program_checks import REACHING_OUT

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SKIPPED = re.compile(r"[ \t\n]+")
_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\\x00-\x1f]|\\(?:["'\\abfnrtv]|[0-3][0-7]{2}))*"(?!["']))"""
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?j?(?!\w))"
    r"|(?P<sign>[()\[\]{}:,.=+\-*/%&|^<>@~!])",
    re.ASCII,
)
_ON_NUMBERS_AND_LISTS = frozenset([
    "Bool", "Complex", "ComplexImplicit", "Float", "FloatImplicit", "Int", "IntImplicit", "ScalarImplicit",
    "Size", "__contains__", "__derive_index", "__getitem__", "__interpolate", "__is__", "__isnot__",
    "__not__", "__range_length", "__round_to_zero_floordiv", "__upsample", "__upsample_bilinear",
    "__upsample_nearest", "_get_tracing_state", "_grad_sum_to_size", "_infer_size", "_list_to_tensor",
    "_ncf_unsqueeze", "_ncf_view", "_pack_sequence", "_set_item", "_size_if_not_equal", "_tensor_to_list",
    "_unwrap_optional", "append", "as_tensor", "bin", "broadcast_shapes", "can_cast", "capitalize", "center",
    "chr", "clear", "count", "cpu", "cuda", "degrees", "device", "dict", "divmod", "element_size", "endswith",
    "expandtabs", "extend", "fabs", "factorial", "find", "floordiv", "format", "gamma", "get",
    "get_autocast_dtype", "has_torch_function", "hash", "hex", "insert", "is_autocast_cpu_enabled",
    "is_autocast_enabled", "is_grad_enabled", "is_non_overlapping_and_dense", "is_scripting",
    "is_strides_like_format", "isalnum", "isalpha", "isdecimal", "isdigit", "isidentifier", "islower",
    "isnumeric", "isprintable", "isspace", "istitle", "isupper", "items", "join", "keys", "len", "list",
    "ljust", "lower", "lstrip", "mathremainder", "modf", "oct", "ord", "partition", "percentFormat", "pop",
    "popitem", "promote_types", "radians", "remove", "replace", "reverse", "rfind", "rindex", "rjust",
    "rpartition", "rsplit", "rstrip", "setdefault", "sorted", "splitlines", "startswith", "str", "strip",
    "swapcase", "tensor", "title", "update", "upper", "warn", "zfill",
])  # fmt: skip
"""Operations of aten that scripts alone know. Attention warns of outdated masks, which writes a line at most."""
_OF_PRIM = frozenset([
    "EnumName", "EnumValue", "IfThenElse", "ModuleContainerIndex", "NumToTensor", "RaiseException",
    "StringIndex", "TupleIndex", "TupleUnpack", "Uninitialized", "abs", "data", "device", "dtype", "grad",
    "id", "index", "is_cpu", "is_cuda", "is_ipu", "is_maia", "is_meta", "is_mkldnn", "is_mps", "is_mtia",
    "is_nested", "is_quantized", "is_sparse", "is_sparse_csr", "is_vulkan", "is_xla", "is_xpu", "itemsize",
    "layout", "max", "min", "name", "nbytes", "rangelist", "requires_grad", "tolist", "type",
    "unchecked_cast", "unchecked_unwrap_optional",
])  # fmt: skip
_TEXT_ARGUMENTS = frozenset([
    "UPLO", "a", "activation", "algorithm", "approximate", "assert_msg", "b", "driver", "el", "equation",
    "indexing", "interpolation", "mode", "norm", "ord", "p", "pad_mode", "padding", "padding_side", "reduce",
    "rounding_mode", "self", "separator", "side", "string", "substr",
])  # fmt: skip
"""Names of arguments of operations on tensors that are texts and choose a way to compute."""
_CALLED = frozenset([
    "NamedTuple", "abs", "all", "annotate", "any", "bool", "complex", "dict", "divmod", "enumerate", "float",
    "getattr", "hasattr", "int", "isinstance", "len", "list", "max", "min", "pow", "range", "round", "sorted",
    "str", "sum", "tuple", "unchecked_cast", "uninitialized", "zip",
])  # fmt: skip
_NOT_CALLS = frozenset([
    "and", "assert", "elif", "else", "for", "if", "in", "is", "not", "or", "raise", "return", "while", "with",
    "yield",
])  # fmt: skip
_NUMBERED = re.compile(r"_\d+")
"""What torch calls values without a name, functions among them."""
_REFUSED_NAMES = frozenset({"awaitable", "fork", "print", "rpc_async", "rpc_remote", "rpc_sync"})
_TORCH_CLASSES = re.compile(rb"torch[.\n]classes\b")
_SHOWN = 60


class UnsafeScriptError(Exception):
    """A script holds what is not let through; the message says what, in words that follow "is not loaded:"."""


def check_code(code: bytes) -> None:
    """Raise UnsafeScriptError where a member of code says more than how tensors are computed."""
    tokens = _tokens(code.decode("latin-1"))
    for index, token in enumerate(tokens):
        if token[0] == '"':
            _check_text(tokens, index)
        elif _NAME.fullmatch(token):
            _check_name(tokens, index)


def check_pickle(content: bytes) -> None:
    """Raise UnsafeScriptError where pickled weights or constants name one of torch's own classes.

    Torch reads these pickles itself: they make tensors, containers, and objects of the script's and of its own classes.
    """
    if _TORCH_CLASSES.search(content):
        raise UnsafeScriptError("it holds an object of torch.classes, which is more than tensors")


def _tokens(code: str) -> list[str]:
    tokens, place = [], 0
    while place < len(code):
        if skipped := _SKIPPED.match(code, place):
            place = skipped.end()
        elif found := _TOKEN.match(code, place):
            tokens.append(found[0])
            place = found.end()
        else:
            line = code[place:].partition("\n")[0]
            raise UnsafeScriptError(f"its code goes on with {line[:_SHOWN]!r}, which is not as torch writes it")
    return tokens


def _check_text(tokens: Sequence[str], index: int) -> None:
    """Texts may name an attribute (`getattr`); those in a row are one."""
    text = tokens[index][1:-1].encode("latin-1").decode("unicode_escape")
    if _at(tokens, index - 1)[:1] == '"':
        raise UnsafeScriptError(f"its code says {tokens[index][:_SHOWN]} in parts, which is not as torch writes it")
    if text == "classes" or text in _refused_attributes():
        raise UnsafeScriptError(f"its code names {text!r}, which touches more than tensors")


def _check_name(tokens: Sequence[str], index: int) -> None:
    name, following = tokens[index], [_at(tokens, index + step) for step in (1, 2, 3, 4)]
    if _at(tokens, index - 1) == ".":
        is_allowed = name not in _refused_attributes() and (_at(tokens, index - 2), name) != ("torch", "classes")
    elif name == "torch":
        is_allowed = following[0] == "." and following[1] in _operations()
    elif name == "ops":
        allowed = {"aten": _operations(), "prim": _OF_PRIM}.get(following[1], frozenset())
        is_allowed = following[0] == following[2] == "." and following[3] in allowed
    elif following[0] == "(" and _at(tokens, index - 1) not in ("def", "class"):
        is_allowed = name in _CALLED or name in _NOT_CALLS or _NUMBERED.fullmatch(name) is not None
    else:
        is_allowed = name not in _REFUSED_NAMES
    if not is_allowed:
        raise UnsafeScriptError(f"its code calls {_dotted(tokens, index)}, which touches more than tensors")


def _at(tokens: Sequence[str], index: int) -> str:
    return tokens[index] if 0 <= index < len(tokens) else ""


def _dotted(tokens: Sequence[str], index: int) -> str:
    """The dotted name that a token is part of."""
    first, last = index, index + 1
    while _at(tokens, first - 1) == "." and _NAME.fullmatch(_at(tokens, first - 2)):
        first -= 2
    while _at(tokens, last) == "." and _NAME.fullmatch(_at(tokens, last + 1)):
        last += 2
    return "".join(tokens[first:last])[:_SHOWN]


@functools.cache
def _operations() -> frozenset[str]:
    """Names in aten that only compute."""
    of_tensors, odd = set(), set(REACHING_OUT)
    dispatched = {name.partition(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    for schema in torch._C._jit_get_all_schemas():
        space, _, name = schema.name.partition("::")
        if space != "aten" or schema.name not in dispatched:
            continue
        if any("Tensor" in str(value.type) for value in (*schema.arguments, *schema.returns)):
            of_tensors.add(name)
        if any("str" in str(value.type) and value.name not in _TEXT_ARGUMENTS for value in schema.arguments):
            odd.add(name)
    return frozenset(of_tensors - odd) | _ON_NUMBERS_AND_LISTS


@functools.cache
def _refused_attributes() -> frozenset[str]:
    """Names that torch would look up among all operations where a value has no attribute of that name."""
    names = frozenset(schema.name.removeprefix("aten::") for schema in torch._C._jit_get_all_schemas())
    return (names | REACHING_OUT) - _operations() - _OF_PRIM
