"""torchvision and timm."""

import pytest
import torch

from tests.harness import check, floats, fresh

torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed")


def resnet50():
    return torchvision.models.resnet50(num_classes=10)


def vit():
    return torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=7
    )


@pytest.mark.parametrize("build", [resnet50, vit])
def test_evaluation(build):
    check(fresh(lambda: build().eval()), floats(2, 3, 32, 32), context=torch.no_grad, fullgraph=True)


def test_evaluation_with_gradients():
    check(fresh(lambda: vit().eval()), floats(2, 3, 32, 32), fullgraph=True, backward=True)


def test_resnet_in_training_updates_its_buffers():
    def build():
        return torchvision.models.resnet18(num_classes=5)

    check(fresh(build), floats(2, 3, 32, 32), fullgraph=True, backward=True, calls=2)


def test_another_batch_size_is_one_more_graph_for_all():
    def image(k):
        return (torch.full((2 + k, 3, 32, 32), 0.1 * k),)

    def build():
        return torchvision.models.resnet18(num_classes=5).eval()

    check(fresh(build), inputs=image, graphs=2, recompiles=1, calls=4, context=torch.no_grad)


def test_timm():
    timm = pytest.importorskip("timm", reason="timm is not installed")

    def build():
        return timm.create_model("convnextv2_atto", pretrained=False, num_classes=7).eval()

    check(fresh(build), floats(1, 3, 32, 32), context=torch.no_grad, fullgraph=True)
