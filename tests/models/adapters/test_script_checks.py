import pytest

from models.adapters.script_checks import UnsafeScriptError, check_code, check_pickle

BODY = """class N(Module):
  __parameters__ = ["weight", ]
  scale : Final[float] = 1.0000000000000001e-05
  conv : __torch__.torch.nn.modules.conv.___torch_mangle_0.Conv2d
  def forward(self: __torch__.N,
    x: Tensor) -> Tensor:
    _0 = __torch__.torch.nn.functional.relu
    first = getattr(self.layers, "0")
    _1 = ops.prim.NumToTensor(torch.size(x, 0))
    if torch.ne(torch.dim(x), 4):
      ops.prim.RaiseException("expected \\"4\\" axes,\\012got others: # print(x)", "builtins.ValueError")
    else:
      pass
    y = annotate(List[int], [-1, int(_1)])
    %s
    return (first).forward(_0(torch.view(x, y), False, ), )
"""


def test_code_as_torch_writes_it_passes() -> None:
    check_code((BODY % 'z = torch.div(x, 2, rounding_mode="floor")').encode())


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ('torch.save(x, "f")', r"calls torch\.save"),
        ('ops.aten.save(x, "f")', r"calls ops\.aten\.save"),
        ('torch . save(x, "f")', r"calls torch\.save"),
        ('torch.autograd.save(x, "f")', r"calls torch\.autograd\.save"),
        ('ops.aten.from_file("/etc/hostname", False, 4)', r"calls ops\.aten\.from_file"),
        ('(x).save("f")', "calls save"),
        ('[x].save("f")', "calls save"),
        ('getattr(x, "save")("f")', "names 'save'"),
        ('getattr(x, "s\\141ve")("f")', "names 'save'"),
        ('getattr(x, "sa" "ve")("f")', "in parts"),
        ('getattr(torch, name)(x, "f")', "calls torch"),
        ('t = torch\n    t.relu(x)', "calls torch"),
        ('ops.prim.Print("a")', r"calls ops\.prim\.Print"),
        ('ops.image.read_file("f")', r"calls ops\.image\.read_file"),
        ("o = ops.aten", r"calls ops\.aten"),
        ('torch._print("a")', r"calls torch\._print"),
        ('print("a")', "calls print"),
        ("p = print", "calls print"),
        ("rpc_async(x)", "calls rpc_async"),
        ("torch.manual_seed(3)", r"calls torch\.manual_seed"),
        ("q = __torch__.torch.classes.quantized.Pack(x)", r"calls __torch__\.torch\.classes"),
        ('q = getattr(__torch__.torch, "classes")', "names 'classes'"),
        ('torch.#\n    save(x, "f")', "goes on with '#'"),
        ('torch.\\\n    save(x, "f")', "goes on with"),
        ("'torch.relu'", "goes on with"),
        ('"""a"""', "goes on with"),
        ("ｔorch.relu(x)", "goes on with"),
    ],
)  # fmt: skip
def test_code_that_touches_more_than_tensors_is_refused(statement: str, named: str) -> None:
    with pytest.raises(UnsafeScriptError, match=named):
        check_code((BODY % statement).encode())


def test_objects_of_torchs_own_classes_are_refused() -> None:
    check_pickle(b"\x80\x02c__torch__.torch.nn.modules.conv\nConv2d\nq\x00.")
    for name in (b"__torch__.torch.classes.quantized\nPack\n", b"__torch__.torch\nclasses.quantized.Pack\n"):
        with pytest.raises(UnsafeScriptError, match=r"an object of torch\.classes"):
            check_pickle(b"\x80\x02c" + name + b"q\x00.")
