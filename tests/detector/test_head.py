import torch
from torch import nn

from detector.head import Head


def _summing(n_features: int) -> Head:
    """A linear head that adds up its standardised features."""
    head = Head(n_features, ()).eval().requires_grad_(False)
    linear = head.layers[-1]
    assert isinstance(linear, nn.Linear)
    linear.weight.fill_(1.0)
    linear.bias.zero_()
    return head


def test_features_are_brought_to_their_own_unit() -> None:
    head = _summing(2)
    head.standardise_by(torch.tensor([[0.0, 10.0], [2.0, 30.0]]))
    # Means (1, 20); both features lie half their range from it, at 1/√2 of the unbiased deviation.
    torch.testing.assert_close(head(torch.tensor([[1.0, 20.0], [2.0, 30.0]])), torch.tensor([0.0, 2**0.5]))


def test_a_feature_that_never_changes_is_only_centred() -> None:
    head = _summing(1)
    head.standardise_by(torch.tensor([[3.0], [3.0]]))
    assert head(torch.tensor([[5.0]])).tolist() == [2.0]


def test_one_image_is_enough_to_centre_by() -> None:
    head = _summing(1)
    head.standardise_by(torch.tensor([[3.0]]))
    assert head(torch.tensor([[5.0]])).tolist() == [2.0]


def test_a_single_odd_feature_is_cut_off() -> None:
    assert _summing(1)(torch.tensor([[1e30], [-1e30], [7.0]])).tolist() == [8.0, -8.0, 7.0]


def test_nan_features_give_nan() -> None:
    assert _summing(2)(torch.tensor([[torch.nan, 0.0]])).isnan().all()


def test_hidden_layers_have_the_widths_asked_for() -> None:
    widths = [layer.out_features for layer in Head(5, (7, 3)).layers if isinstance(layer, nn.Linear)]
    assert widths == [7, 3, 1]


def test_scale_and_mean_are_kept_with_the_weights() -> None:
    head = _summing(1)
    head.standardise_by(torch.tensor([[0.0], [4.0]]))
    copy = Head(1, ())
    copy.load_state_dict(head.state_dict())
    assert torch.equal(copy(torch.tensor([[3.0]])), head(torch.tensor([[3.0]])))


def test_a_gradient_passes_where_a_feature_is_cut_off_and_the_score_is_the_same() -> None:
    head = Head(1, ()).eval()
    head.layers[0].load_state_dict({"weight": torch.tensor([[2.0]]), "bias": torch.zeros(1)})
    features = torch.tensor([[3.0], [20.0]], requires_grad=True)
    assert head(features).tolist() == head.passing_gradients(features).tolist() == [6.0, 16.0]
    (blocked,) = torch.autograd.grad(head(features).sum(), features)
    (passed,) = torch.autograd.grad(head.passing_gradients(features).sum(), features)
    assert blocked.flatten().tolist() == [2.0, 0.0]
    assert passed.flatten().tolist() == [2.0, 2.0]
