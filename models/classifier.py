"""A trained network as the detector sees it: pixels in [0, 1] go in, logits and named representations come out."""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.adapters.tapped import Tap, Tapped
from models.errors import ModelError
from models.files import tensor_digest
from models.folding import fold_batch_norm
from models.hooks import OutputHook, hooked_call
from models.in_place import rectify_in_place
from models.layout import in_channels_last


@dataclasses.dataclass(frozen=True, slots=True)
class Outputs:
    """What one forward pass gives.

    Attributes:
        logits: shape (image, label).
        representations: by module name, in network order; each of shape (image, channel, height, width),
            (image, token, feature) or (image, feature). Maps of one pixel come flattened, as features.
    """

    logits: Float[Tensor, "image label"]
    representations: Mapping[str, Tensor]


class Classifier(nn.Module):
    """A frozen network in eval mode with its normalisation inside.

    Args:
        network: maps normalised images to logits.
        mean, std: per channel, for pixels in [0, 1].
        representations: names of the modules whose outputs are wanted, as in `network.named_modules()`, or of taps.
        labels: the name of each label.
        input_shape: (channel, height, width) of what the network takes.
        outputs: which of the network's logits are kept, one a label and in their order; all of them if not given.
        file_digest: sha256 of the file that holds graph and weights, where the state dict does not say all.
        built_with: what its architecture was told, where that decides more than the state dict shows.

    Raises:
        ModelError: a named module does not exist, or mean and std do not fit the channels, or outputs the labels.
    """

    mean: Tensor
    std: Tensor
    outputs: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        representations: Sequence[str],
        labels: Sequence[str],
        input_shape: tuple[int, int, int],
        outputs: Sequence[int] | None = None,
        file_digest: str | None = None,
        built_with: str = "",
    ) -> None:
        super().__init__()
        if not len(mean) == len(std) == input_shape[0]:
            raise ModelError(
                f"mean has {len(mean)} and std {len(std)} values, but the input has {input_shape[0]} channels; "
                "give one of each per channel"
            )
        if outputs is not None and len(outputs) != len(labels):
            raise ModelError(f"{len(outputs)} outputs are kept, but {len(labels)} labels are named; give one a label")
        self.network = network
        self.labels = tuple(labels)
        self.input_shape = input_shape
        self.representations = tuple(representations)
        self._file_digest = file_digest
        self._built_with = built_with
        self._given_digest: str | None = None
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.register_buffer("outputs", None if outputs is None else torch.tensor(outputs))
        self._capture_representations()
        self.freeze()

    def _capture_representations(self) -> None:
        if not self.representations:
            raise ModelError("no representation is named; name at least one module whose output is one")
        modules = self._named_parts()
        for name in self.representations:
            if name not in modules:
                raise ModelError(
                    f"the network has no module {name!r}; those at its top are "
                    f"{', '.join(self._taps() or [child for child, _ in self.network.named_children()])}"
                )
            # A copied network brings its hooks along.
            hooks = modules[name]._forward_hooks.values()
            if not any(isinstance(hook, OutputHook) and hook.name == name for hook in hooks):
                modules[name].register_forward_hook(OutputHook(name, self.input_shape[1] / self.input_shape[2]))

    def _taps(self) -> dict[str, Tap]:
        return self.network.taps if isinstance(self.network, Tapped) else {}

    def _named_parts(self) -> dict[str, nn.Module]:
        return {**dict(self.network.named_modules()), **self._taps()}

    def freeze(self) -> "Classifier":
        """Put the network in eval mode and stop gradients to its weights; gradients to pixels still flow."""
        self.eval()
        self.requires_grad_(False)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    def forward(self, pixels: Float[Tensor, "image channel height width"]) -> Outputs:
        """Classify pixels in [0, 1].

        Raises:
            ModelError: a representation's module is not part of the forward pass, or gives no tensor.
        """
        with hooked_call() as call:
            logits = self._logits(pixels)
        for name in self.representations:
            if name not in call.captured:
                raise ModelError(f"module {name!r} takes no part in the forward pass; name another representation")
        return Outputs(logits, {name: call.captured[name] for name in self.representations})

    def resume(
        self, name: str, activations: Tensor, pixels: Float[Tensor, "image channel height width"]
    ) -> Float[Tensor, "image label"]:
        """Logits of the pixels, had the module `name` given these activations instead of its own.

        Where every road from the pixels to the logits leads through that module, as it does through the stages of a
        residual network but not through one branch of a block, the module is a cut: only what follows it counts, and
        the pixels do not matter beyond their shape. At any other module what goes past it is still the pixels'.
        Costs a whole forward pass. Differentiable in the activations.

        Args:
            name: one of `representations`.
            activations: one of each image, as `Outputs.representations` has them.
            pixels: in [0, 1].

        Raises:
            ModelError: no such representation, activations of another shape, a module that does not run exactly
                once, or a network that computes its representations beside its logits.
        """
        if name not in self.representations:
            raise ModelError(
                f"no representation is called {name!r}, so the network cannot be resumed there; "
                f"those named are {', '.join(self.representations)}"
            )
        if name in self._taps():
            raise ModelError(
                f"{name!r} is an output of a graph that cannot be entered there, so the network cannot be resumed at "
                "it; give the network as a factory with its weights"
            )
        with hooked_call({name: activations}) as call:
            logits = self._logits(pixels)
        if name not in call.replaced:
            raise ModelError(f"module {name!r} takes no part in the forward pass; name another representation")
        return logits

    def all_logits(self, pixels: Float[Tensor, "image channel height width"]) -> Tensor:
        """What the network gives for pixels in [0, 1], before some of the outputs are kept; not checked in any way."""
        logits: Tensor = self.network((pixels - self.mean) / self.std)
        return logits

    def _logits(self, pixels: Float[Tensor, "image channel height width"]) -> Float[Tensor, "image label"]:
        logits = self.all_logits(pixels)
        return logits if self.outputs is None else logits.index_select(1, self.outputs)

    def folded(self) -> "Classifier":
        """A frozen copy that computes the same faster: no batch norms, rectifiers in place, weights in channels_last.

        Its `digest()` is the one of this classifier, whose weights are the ones that were shipped. A network whose
        graph lies in a file stays as it is there, and this classifier is returned.
        """
        if self._file_digest is not None:
            return self
        example = torch.zeros(1, *self.input_shape, device=self.device)
        network = fold_batch_norm(self.network, example)
        rectify_in_place(network, example)
        folded = Classifier(
            in_channels_last(network),
            mean=self.mean.flatten().tolist(),
            std=self.std.flatten().tolist(),
            representations=self.representations,
            labels=self.labels,
            input_shape=self.input_shape,
            outputs=None if self.outputs is None else self.outputs.tolist(),
        ).to(self.device)
        folded._given_digest = self.digest()
        return folded

    def digest(self) -> str:
        """sha256 over weights by name, normalisation, input shape, kept outputs and names of the representations.

        What its architecture was told is part of it, its code is not: who changes that calibrates again. Where graph
        and weights lie in one file, its sha256 takes the place of the weights, whatever runs it.
        """
        if self._given_digest is not None:
            return self._given_digest
        if self._file_digest is not None:
            return self._digest_with_file(self._file_digest)
        state = sorted(self.state_dict().items())
        told = [self._built_with] if self._built_with else []
        names = "\n".join([str(self.input_shape), *self.representations, *(name for name, _ in state), *told])
        head = torch.frombuffer(bytearray(names.encode()), dtype=torch.uint8)
        return tensor_digest([head, *(tensor for _, tensor in state)])

    def _digest_with_file(self, file_digest: str) -> str:
        names = "\n".join([str(self.input_shape), *self.representations, file_digest])
        head = torch.frombuffer(bytearray(names.encode()), dtype=torch.uint8)
        kept = [] if self.outputs is None else [self.outputs]
        return tensor_digest([head, self.mean, self.std, *kept])
