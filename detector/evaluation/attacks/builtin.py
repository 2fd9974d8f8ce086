"""The project's own attacks, which need nothing installed; none is used in calibration.

All act on pixels in [0, 1] and see the classifier alone. Each returns attacked images of the shape it got; whether an
attack succeeded is asked of the classifier afterwards.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from detector.balls import within
from detector.evaluation.attacks.spec import Attack
from detector.potentials import log_odds_against, margin
from detector.types import Classifier, Images, Labels


def fgsm(radius: float) -> Attack:
    """One step of the gradient's sign (Goodfellow et al. 2015, arXiv 1412.6572)."""

    def attack(classifier: Classifier, images: Images, labels: Labels, _generator: Generator) -> Images:
        gradient = _gradient(classifier, images, lambda logits: log_odds_against(logits, labels))
        return (images + radius * gradient.sign()).clamp(0, 1)

    return attack


def pgd(radius: float, steps: int = 20) -> Attack:
    """Projected gradient descent in the L∞ ball, random start (Madry et al. 2018, arXiv 1706.06083)."""

    def attack(classifier: Classifier, images: Images, labels: Labels, generator: Generator) -> Images:
        return _descend(classifier, images, lambda logits: log_odds_against(logits, labels), radius, steps, generator)

    return attack


def targeted_pgd(radius: float, steps: int = 20) -> Attack:
    """PGD towards one random other label an image."""

    def attack(classifier: Classifier, images: Images, labels: Labels, generator: Generator) -> Images:
        n_labels = len(classifier.labels)
        offset = torch.randint(1, n_labels, labels.shape, generator=generator).to(labels.device)
        target = (labels + offset) % n_labels
        return _descend(classifier, images, lambda logits: -log_odds_against(logits, target), radius, steps, generator)

    return attack


def deepfool(steps: int = 50, overshoot: float = 0.02) -> Attack:
    """Repeated projection onto the nearest linearised boundary, L2 (Moosavi-Dezfooli et al. 2016, arXiv 1511.04599)."""

    def attack(classifier: Classifier, images: Images, labels: Labels, _generator: Generator) -> Images:
        attacked = images.clone()
        active = torch.arange(len(images), device=images.device)
        for _ in range(steps):
            with torch.no_grad():
                active = active[classifier(attacked[active]).logits.argmax(1) == labels[active]]
            if len(active) == 0:
                break
            step = _nearest_boundary(classifier, attacked[active], labels[active])
            attacked[active] = (attacked[active] + (1 + overshoot) * step).clamp(0, 1)
        return attacked

    return attack


def _nearest_boundary(classifier: Classifier, images: Images, labels: Labels) -> Tensor:
    """Shortest step to where, linearised, another label's logit draws level with the true one's."""
    images = images.detach().requires_grad_(True)
    logits = classifier(images).logits
    gaps = logits - logits.gather(1, labels[:, None])
    gradients = torch.stack(
        [torch.autograd.grad(gaps[:, k].sum(), images, retain_graph=True)[0] for k in range(gaps.shape[1])], 1
    )
    lengths = gradients.flatten(2).norm(dim=2).clamp_min(1e-8)
    distances = (gaps.detach().abs() / lengths).scatter(1, labels[:, None], torch.inf)
    nearest = distances.argmin(1)
    rows = torch.arange(len(images), device=images.device)
    # Linearised exactly, the step would end on the boundary; the small constant carries it across.
    scale = (gaps.detach().abs()[rows, nearest] + 1e-4) / lengths[rows, nearest].square()
    step: Tensor = scale[:, None, None, None] * gradients[rows, nearest]
    return step


def carlini_wagner(confidence: float, searches: int = 4, steps: int = 50, learning_rate: float = 0.02) -> Attack:
    """Smallest L2 perturbation of a given margin (Carlini & Wagner 2017, arXiv 1608.04644), the weight by bisection."""

    def attack(classifier: Classifier, images: Images, labels: Labels, _generator: Generator) -> Images:
        best, best_distance = images.clone(), torch.full((len(images),), torch.inf, device=images.device)
        lower = torch.zeros(len(images), device=images.device)
        upper = torch.full_like(lower, torch.inf)
        weight = torch.full_like(lower, 1.0)
        for _ in range(searches):
            found = _minimise(classifier, images, labels, weight, confidence, steps, learning_rate)
            improved = found[1] < best_distance
            best = torch.where(improved[:, None, None, None], found[0], best)
            best_distance = torch.minimum(best_distance, found[1])
            succeeded = found[1].isfinite()
            upper = torch.where(succeeded, torch.minimum(upper, weight), upper)
            lower = torch.where(succeeded, lower, torch.maximum(lower, weight))
            weight = torch.where(upper.isfinite(), (lower + upper) / 2, weight * 10)
        return best

    return attack


def _minimise(
    classifier: Classifier,
    images: Images,
    labels: Labels,
    weight: Tensor,
    confidence: float,
    steps: int,
    learning_rate: float,
) -> tuple[Images, Tensor]:
    """Adam on `|perturbation|² + weight · max(margin + confidence, 0)`; the closest success, and its distance."""
    # tanh space keeps pixels in range; its ends are pulled in, where it would not move.
    position = torch.atanh((images * 2 - 1) * 0.999999).detach().requires_grad_(True)
    optimizer = torch.optim.Adam([position], lr=learning_rate)
    best, best_distance = images.clone(), torch.full((len(images),), torch.inf, device=images.device)
    for _ in range(steps):
        attacked = (position.tanh() + 1) / 2
        distance = (attacked - images).square().flatten(1).sum(1)
        excess = margin(classifier(attacked).logits, labels) + confidence
        closer = (excess <= 0) & (distance < best_distance)
        best = torch.where(closer.detach()[:, None, None, None], attacked.detach(), best)
        best_distance = torch.where(closer, distance.detach(), best_distance)
        optimizer.zero_grad()
        (distance + weight * excess.clamp_min(0)).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return best, best_distance


def _descend(
    classifier: Classifier,
    images: Images,
    loss: Callable[[Tensor], Tensor],
    radius: float,
    steps: int,
    generator: Generator,
) -> Images:
    noise = torch.rand(images.shape, generator=generator).to(images.device) * 2 - 1
    attacked = (images + radius * noise).clamp(0, 1)
    for _ in range(steps):
        gradient = _gradient(classifier, attacked, loss)
        moved = attacked + 2.5 * radius / steps * gradient.sign()
        attacked = within(moved, images, radius)
    return attacked


def _gradient(classifier: Classifier, images: Images, loss: Callable[[Tensor], Tensor]) -> Tensor:
    images = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(classifier(images).logits).sum(), images)
    return gradient
