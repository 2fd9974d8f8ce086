from typing import Any

import pytest

from models.adapters.program_checks import UnsafeProgramError, checked_configuration, checked_graph


def graph(**value: Any) -> dict[str, Any]:
    """A program of one operation; a value is what stands for one of its arguments."""
    node = {"target": "torch.ops.aten.relu.default", "inputs": [value], "metadata": {"stack_trace": '"; exit()'}}
    return {"graph_module": {"graph": {"nodes": [node]}, "module_call_graph": []}, "guards_code": ["exit()"]}


@pytest.mark.parametrize(
    "size",
    [
        "s77",
        "2*s0 + 1",
        "Mul(Integer(2), Symbol('s0', positive=True, integer=True))",
        "FloorDiv(Add(Symbol('s3', integer=True), Integer(-1)), Integer(2))",
        "-s0 // 2",
        "Eq(s0, 3)",
    ],
)
def test_sizes_may_be_arithmetic(size: str) -> None:
    assert checked_graph(graph(as_expr={"expr_str": size}))


@pytest.mark.parametrize(
    "size",
    [
        "__import__('os')",
        "exit()",
        "s0.__class__",
        "Symbol('__import__(\"os\")')",
        "lambda: 1",
        "[s0 for s0 in s1]",
        "Add(*s0)",
        "s0 if s1 else s2",
        "s0[0]",
        "Integer('exit()')",
        "S('exit()')",
        "(s0",
        "s0\0",
        "1+" * 2000 + "1",
    ],
)
def test_sizes_are_no_more_than_that(size: str) -> None:
    with pytest.raises(UnsafeProgramError, match="is more than arithmetic"):
        checked_graph(graph(as_expr={"expr_str": size}))


@pytest.mark.parametrize("target", ["torch.ops.aten.add.Tensor", "_operator.mul", "torch.sym_max", "math.trunc"])
def test_operations_on_tensors_and_sizes_are_let_through(target: str) -> None:
    assert checked_graph(graph(target=target))


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.mine.f.default",
        "torch.hub.load",
        "torch.ops.aten.add.__init__.__globals__",
        "_operator.attrgetter",
        "#extension",
    ],
)
def test_others_are_not(target: str) -> None:
    with pytest.raises(UnsafeProgramError, match="is not one of torch's operations on tensors"):
        checked_graph(graph(target=target))


def test_graphs_within_are_told_what_makes_them() -> None:
    with pytest.raises(
        UnsafeProgramError, match=r"a graph within its graph .as of torch.no_grad or control flow.; export"
    ):
        checked_graph(graph(target="torch.ops.higher_order.cond"))


@pytest.mark.parametrize("key", ["as_graph", "as_custom_obj", "as_operator"])
def test_graphs_and_objects_within_are_refused(key: str) -> None:
    with pytest.raises(UnsafeProgramError, match="it holds"):
        checked_graph(graph(**{key: {}}))


def test_conditions_and_traces_are_dropped_and_text_of_arguments_is_kept() -> None:
    checked = checked_graph(graph(as_string="a → b, 'c'"))
    (node,) = checked["graph_module"]["graph"]["nodes"]
    assert (checked["guards_code"], node["metadata"]) == ([], {})
    assert node["inputs"][0]["as_string"] == "a → b, 'c'"


def test_everything_comes_to_the_cpu() -> None:
    checked = checked_graph(graph(as_device={"type": "cuda", "index": 1}))
    assert checked["graph_module"]["graph"]["nodes"][0]["inputs"][0]["as_device"] == {"type": "cpu", "index": None}
    meta = {"device": {"type": "cuda", "index": 0}, "sizes": []}
    entry = {"path_name": "weight_0", "use_pickle": False, "tensor_meta": meta}
    assert checked_configuration({"config": {"w": entry}})["config"]["w"]["tensor_meta"]["device"]["type"] == "cpu"


def test_weights_lie_in_the_archive_alone() -> None:
    entry = {"path_name": "../weight_0", "use_pickle": False, "tensor_meta": None}
    with pytest.raises(UnsafeProgramError, match="pickled object"):
        checked_configuration({"config": {"w": entry}})
