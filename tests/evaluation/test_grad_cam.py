"""Grad-CAM as the package grad-cam computes it; the package is no dependency, since it brings a second build of OpenCV."""

import os
from unittest.mock import patch

import pytest
import torch
from conftest import moving_frames, small_net
from torch import nn

from aia.evaluation.maps import grad_cam
from aia.modeling.preprocess import preprocess


class OfFrames(nn.Module):
    """The package takes a batch of pictures."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, frames):
        return self.net(frames[None])


@pytest.mark.long
@pytest.mark.parametrize("layer", ["layer2.0", "layer4"])
@pytest.mark.parametrize("label", [0, 2])
def test_grad_cam_of_a_label_is_that_of_the_package(layer, label):
    """The package gives each frame its own scale, twice, so the maps are compared frame by frame."""
    with patch.dict(os.environ):  # it sets some; imported here, since each process of the suite reads this file
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.image import scale_cam_image
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net = small_net(size=64)
    net.head.weight.data.abs_()  # so that something supports each label
    x = preprocess(moving_frames(4, 64, 64), net.config)
    ours = grad_cam(net, x, [layer], torch.tensor([label]))[layer][0].numpy()
    ours = scale_cam_image(scale_cam_image(ours, (64, 64)))
    with GradCAM(OfFrames(net), [net.backbone.get_submodule(layer)]) as cam:
        theirs = cam(x[0], [ClassifierOutputTarget(label)])
    assert ours.max() > 0.99 and theirs.max() > 0.9
    scaled = [maps / maps.max(axis=(1, 2), keepdims=True) for maps in (ours, theirs)]
    assert scaled[0] == pytest.approx(scaled[1], abs=1e-3)
