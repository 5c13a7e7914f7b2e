"""Memory shared with torch through DLPack, both ways, on the host."""

import numpy as np
import pytest
import torch

import minidl


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_torch_reads_our_memory(dtype: str) -> None:
    x = minidl.tensor(np.arange(6).reshape(2, 3), dtype=dtype)
    shared = torch.from_dlpack(x)
    assert shared.shape == x.shape and str(shared.dtype) == f"torch.{dtype}"
    shared[1, 2] = 7
    assert x[1, 2].item() == 7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_we_read_torchs_memory(dtype: torch.dtype) -> None:
    peer = torch.arange(6).reshape(2, 3).to(dtype)
    x = minidl.from_dlpack(peer.T)
    assert x.shape == (3, 2) and x.device == minidl.device("cpu")
    peer[0, 1] = 9
    assert x[1, 0].item() == 9


def test_gradients_are_not_shared_away() -> None:
    with pytest.raises(BufferError, match="detach"):
        torch.from_dlpack(minidl.tensor([1.0], requires_grad=True))
    with pytest.raises((BufferError, RuntimeError)):
        minidl.from_dlpack(torch.ones(2, requires_grad=True))


def test_a_simulated_device_is_not_taken_for_the_host() -> None:
    with pytest.raises((BufferError, RuntimeError, ValueError)):
        torch.from_dlpack(minidl.tensor([1.0], device="cuda_sim"))
