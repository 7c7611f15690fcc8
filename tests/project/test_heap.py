"""A command keeps the memory that it frees: each pass of a network would fault it in again, page by page."""

import subprocess
import sys

import pytest
from conftest import ROOT

from aia import heap

PASSES = """
import resource, sys
from aia import heap
if "keep" in sys.argv:
    heap.keep_freed()
import torch
for _ in range(20):
    torch.ones(16, 1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(16, 1 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.long
@pytest.mark.skipif(heap._glibc is None, reason="not glibc's heap")
def test_freed_memory_is_used_again():
    def faults(*arguments: str) -> int:
        command = [sys.executable, "-c", PASSES, *arguments]
        return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

    assert faults("keep") < 100 < faults()
