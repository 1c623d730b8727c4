"""Convolutional networks, from the small ResNet that learns from scratch on a laptop to ConvNeXt."""

from medpeft_core.backbones.spec import BACKBONES, BackboneSpec
from medpeft_core.traits import CNN, CONVNEXT, DEPTHWISE_CNN, Traits


def _add_cnn(
    name: str,
    title: str,
    num_params: int,
    *,
    description: str,
    pretrained: str,
    reference: str,
    traits: Traits = CNN[1],
) -> None:
    BACKBONES.add(
        BackboneSpec(
            name=name,
            title=title,
            description=description,
            kind="cnn",
            traits=traits,
            num_params=num_params,
            image_size=224,
            size_multiple=1,
            pools=("avg",),
            pretrained=pretrained,
            licence="Apache-2.0",
            reference=reference,
        )
    )


_add_cnn(
    "resnet18",
    "ResNet-18",
    11_176_512,
    description="Small and quick; learns from random weights on a laptop.",
    pretrained="ImageNet-1k with labels",
    reference="He et al. 2016, arXiv:1512.03385",
)
_add_cnn(
    "resnet50",
    "ResNet-50",
    23_508_032,
    description="The CNN of Dutt et al. 2024.",
    pretrained="ImageNet-1k with labels",
    reference="He et al. 2016, arXiv:1512.03385",
)
_add_cnn(
    "densenet121",
    "DenseNet-121",
    6_953_856,
    description="The classic of chest radiograph classification since CheXNet.",
    pretrained="ImageNet-1k with labels",
    reference="Huang et al. 2017, arXiv:1608.06993",
)
_add_cnn(
    "convnext_tiny",
    "ConvNeXt-Tiny",
    27_820_128,
    description="A modern CNN with the training recipe of transformers.",
    pretrained="ImageNet-12k, then ImageNet-1k, with labels",
    reference="Liu et al. 2022, arXiv:2201.03545",
    traits=CONVNEXT[1],
)
_add_cnn(
    "efficientnet_b0",
    "EfficientNet-B0",
    4_007_548,
    description="Few parameters through depthwise convolutions.",
    pretrained="ImageNet-1k with labels",
    reference="Tan & Le 2019, arXiv:1905.11946",
    traits=DEPTHWISE_CNN[1],
)
