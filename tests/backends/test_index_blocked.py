from __future__ import annotations

import pytest
import torch

from datagen.backends.index_blocked import whole_sums


@pytest.mark.parametrize(("device", "allowed"), [("cuda", False), ("cpu", True)])
def test_sums_on_a_gpu_are_whole_while_a_search_runs(device: str, allowed: bool) -> None:
    flags = torch.backends.cuda.matmul
    assert flags.allow_fp16_reduced_precision_reduction is True  # what torch starts with
    with whole_sums(torch.device(device)):
        assert flags.allow_fp16_reduced_precision_reduction is allowed
    assert flags.allow_fp16_reduced_precision_reduction is True
