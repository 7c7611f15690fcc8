import pytest
import torch

from tools.other_actions import SCORES, leave_out


@pytest.mark.slow
def test_clips_of_left_out_actions_are_refused_where_no_known_action_is_near():
    torch.manual_seed(0)
    centers = 4 * torch.eye(8)[:6]
    centers[[1, 3]] = 0  # as far from every other action
    y = torch.arange(6).repeat(40)
    x = centers[y][:, None] + 0.3 * torch.randn(240, 2, 8)
    top1, *refused = leave_out(x, y, torch.arange(240) < 120, 5, [1, 3])
    assert top1 == 1  # the labels that are left keep their clips
    assert dict(zip(SCORES, refused, strict=True))["largest probability"] > 0.9
