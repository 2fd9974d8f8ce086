import pytest
import torch

from detector.types import no_progress
from models.onnx_files.sessions import open_session
from models.registry import load_classifier
from service.bench.contenders import Calibrated, Contender, open_contender
from service.bench.forward_rate import bare_graph, batch_sizes, forwards_of, roofline_shares
from service.options import RuntimeName

CPU = torch.device("cpu")


def test_a_detector_that_does_nothing_but_passes_is_at_the_roof():
    # 9 passes of 2 ms each in 18 ms, and in 20 ms.
    assert roofline_shares((0.018, 0.020), (0.002, 0.002), 9) == (pytest.approx(1), pytest.approx(0.9))


def test_a_share_does_not_change_where_a_whole_round_is_slow():
    assert roofline_shares((0.018, 0.18), (0.001, 0.01), 9) == (pytest.approx(0.5), pytest.approx(0.5))


@pytest.mark.parametrize(
    ("shape", "device", "sizes"),
    [
        ((3, 32, 32), CPU, (16, 32, 64, 128, 256)),
        ((3, 224, 224), CPU, (1, 2, 5)),
        ((3, 32, 32), torch.device("cuda"), (256, 512, 1024, 2048, 4096)),
    ],
)
def test_passes_of_several_sizes_are_tried(shape, device, sizes):
    assert batch_sizes(shape, device) == sizes


def opened_on(runtime):
    return open_contender(Contender(subject=Calibrated(bundle="digits"), device="cpu", runtime=runtime))


def test_every_size_is_tried_in_both_layouts_with_torch():
    ways = forwards_of(opened_on(RuntimeName.TORCH))
    sizes = batch_sizes((1, 8, 8), CPU)
    assert [(way.n_images, way.layout) for way in ways] == [
        (size, layout) for size in sizes for layout in ("contiguous", "channels last")
    ]
    ways[0].run()


def test_the_roof_of_half_precision_is_the_bare_classifier_in_it():
    opened = opened_on(RuntimeName.TORCH_FLOAT16)
    seen = []

    def heard(_module, _arguments, outputs):
        seen.append(outputs.logits.dtype)

    with opened.classifier.register_forward_hook(heard):
        forwards_of(opened)[0].run()
        forwards_of(opened_on(RuntimeName.TORCH))[0].run()
    assert seen == [torch.float16]


@pytest.mark.slow
def test_the_bare_graph_gives_the_classifiers_logits():
    classifier = load_classifier("digits").classifier
    session = open_session(bare_graph(classifier, no_progress), CPU)
    pixels = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    [logits] = session.run(["logits"], {"pixels": pixels.numpy()})
    assert torch.allclose(torch.from_numpy(logits), classifier(pixels).logits, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_passes_on_a_gpu_are_waited_for():
    opened = open_contender(Contender(subject=Calibrated(bundle="digits"), device="cuda", runtime=RuntimeName.TORCH))
    forwards_of(opened)[0].run()
    assert torch.cuda.current_stream().query()
