"""Residual networks for 32×32 images (He et al. 2016, arXiv 1512.03385, section 4.2)."""

from collections.abc import Sequence

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; a 1×1 projection where the shape changes (option B of the paper)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.convolution1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.convolution2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.activation = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.activation(self.norm1(self.convolution1(images)))
        output: Tensor = self.activation(self.norm2(self.convolution2(hidden)) + self.shortcut(images))
        return output


class CifarResNet(nn.Module):
    """A 3×3 stem, then stages of basic blocks, each but the first halving the resolution, then a linear head.

    Takes normalised images of shape (image, 3, height, width), returns logits of shape (image, label).
    """

    def __init__(self, widths: Sequence[int], blocks_per_stage: int, n_labels: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        stages = []
        in_channels = widths[0]
        for index, width in enumerate(widths):
            strides = [1 if index == 0 else 2] + [1] * (blocks_per_stage - 1)
            blocks = []
            for stride in strides:
                blocks.append(BasicBlock(in_channels, width, stride))
                in_channels = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(in_channels, n_labels)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.stem(images)
        for stage in self.stages:
            hidden = stage(hidden)
        logits: Tensor = self.head(self.flatten(self.pool(hidden)))
        return logits


def resnet20(n_labels: int = 10) -> CifarResNet:
    """The 20-layer network of the paper's CIFAR-10 section: widths 16, 32, 64, three blocks a stage."""
    return CifarResNet(widths=(16, 32, 64), blocks_per_stage=3, n_labels=n_labels)


def resnet18(n_labels: int = 10) -> CifarResNet:
    """The 18-layer ImageNet layout with a 3×3 stem and no first pooling: widths 64 to 512, two blocks a stage."""
    return CifarResNet(widths=(64, 128, 256, 512), blocks_per_stage=2, n_labels=n_labels)
