import pytest
import torch

from detector.evaluation.baselines.regression import fit_logistic_score


def _cluster(centre: float, n: int) -> torch.Tensor:
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    return torch.stack([centre + noise[:, 0], noise[:, 1]], 1)


def test_only_the_feature_that_tells_proxies_from_clean_images_counts() -> None:
    score = fit_logistic_score(_cluster(-2, 300), _cluster(2, 300))
    # Two unit normals four apart have log-odds of 4 in the feature, a little less under the regulariser.
    assert score.weights[0] == pytest.approx(4, rel=0.4)
    assert abs(score.weights[1]) < 0.15 * score.weights[0]


def test_the_middle_is_even_odds_however_few_proxies_there_are() -> None:
    score = fit_logistic_score(_cluster(-1, 4000), _cluster(1, 400))
    assert score(torch.zeros(1, 2, dtype=torch.float64)).item() == pytest.approx(0, abs=0.2)


def test_units_of_the_features_and_features_without_variance_do_not_matter() -> None:
    clean, proxies = _cluster(-1, 100), _cluster(1, 100)
    score = fit_logistic_score(clean, proxies)
    constant = torch.full((100, 1), 7.0, dtype=torch.float64)
    scaled = fit_logistic_score(torch.cat([clean * 1e4, constant], 1), torch.cat([proxies * 1e4, constant], 1))
    assert torch.allclose(scaled(torch.cat([proxies * 1e4, constant], 1)), score(proxies), atol=1e-3)
