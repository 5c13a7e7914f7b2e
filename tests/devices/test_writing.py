"""copy_, x[...] = and out= between devices: from tensors, and from arrays as they lie there."""

from types import ModuleType

import numpy as np
import pytest

import minidl
from minidl import ops
from oracles.devices import KINDS

pytestmark = pytest.mark.parametrize("xp", KINDS, indirect=True)


def device_of(xp: ModuleType) -> str:
    return "cuda" if xp.__name__ == "cupy" else "cuda_sim"


def test_copy_takes_raw_arrays_from_anywhere_to_anywhere(xp: ModuleType) -> None:
    device = device_of(xp)
    for place in ("cpu", device):
        for source in (xp.asarray([1.5, 2.5]), np.array([1.5, 2.5], ">f8"), [1.5, 2.5], (1.5, 2.5)):
            x = minidl.zeros(2, device=place)
            assert x.copy_(source) is x and x.device == minidl.device(place)
            assert x.tolist() == [1.5, 2.5] and x.dtype == np.float32
            y = minidl.zeros(2, 2, device=place)
            y[1] = source
            y[[0]] = source
            assert y.tolist() == [[1.5, 2.5], [1.5, 2.5]]
        assert minidl.zeros(2, dtype="int64", device=place).copy_(xp.asarray([1.5, -2.5])).tolist() == [1, -2]


def test_copy_stretches_as_torchs_does(xp: ModuleType) -> None:
    for place in ("cpu", device_of(xp)):
        for source in (xp.asarray([[1.0], [2.0]]), minidl.tensor([[1.0], [2.0]]), [[1], [2]]):
            assert minidl.zeros(2, 2, device=place).copy_(source).tolist() == [[1, 1], [2, 2]]
        assert minidl.zeros(2, 2, device=place).copy_(minidl.tensor([1.0, 2.0])).tolist() == [[1, 2], [1, 2]]
        assert minidl.zeros(2, device=place).copy_(7).tolist() == [7, 7]
        assert minidl.zeros(0, device=place).copy_(xp.asarray([1.0])).shape == (0,)
        for wrong in (xp.zeros((1, 2)), np.zeros(3), xp.zeros(0)):
            with pytest.raises(ValueError, match=r"^copy_: shape .* shape \(2,\)"):
                minidl.zeros(2, device=place).copy_(wrong)
        with pytest.raises(TypeError, match=r"^copy_: elements must be numbers"):
            minidl.zeros(2, device=place).copy_(["a", "b"])


CALLS = {
    "add": lambda x, out: ops.add(x, 2.0, out=out),
    "sub": lambda x, out: ops.sub(x, 2.0, out=out),
    "mul": lambda x, out: ops.mul(x, 2.0, out=out),
    "div": lambda x, out: ops.div(x, 2.0, out=out),
    "pow": lambda x, out: ops.pow(x, 2.0, out=out),
    "exp": lambda x, out: ops.exp(x, out=out),
    "log": lambda x, out: ops.log(x, out=out),
    "sqrt": lambda x, out: ops.sqrt(x, out=out),
    "abs": lambda x, out: ops.abs(x, out=out),
    "clamp": lambda x, out: ops.clamp(x, 0.0, 2.0, out=out),
    "maximum": lambda x, out: ops.maximum(x, x - 1, out=out),
    "minimum": lambda x, out: ops.minimum(x, x + 1, out=out),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_out_on_another_device_is_refused_by_name(xp: ModuleType, name: str) -> None:
    device = device_of(xp)
    for here, there in (("cpu", device), (device, "cpu"), (f"{device}:1", device)):
        if xp.cuda.runtime.getDeviceCount() < 2 and here.endswith(":1"):
            continue
        x = minidl.tensor([1.0, 4.0], device=here)
        out = minidl.tensor([7.0, 7.0], device=there)
        with pytest.raises(
            RuntimeError, match=rf"^{name}: out is on {out.device}, the result on {x.device}; "
        ):
            CALLS[name](x, out)
        assert out.tolist() == [7.0, 7.0]
        out = minidl.tensor([7.0, 7.0], device=here)
        assert CALLS[name](x, out) is out and out.tolist() == CALLS[name](x, None).tolist()
