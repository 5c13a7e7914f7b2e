"""Host time of a launch: checked anew each time, and by the plan that is kept for its shapes and types.

Nothing is launched: the compiled kernel is a function that does nothing, so what is timed is what Python does
before it. The arrays are the simulated device's, whose attributes are slower to read than CuPy's. Both ways
take turns, and the lowest times are compared: whatever else runs on the machine can only add to them.

    python benchmarks/launches.py [--rounds 30]
"""

import argparse
import time
from typing import Any

import minidl.kernels.sim.cupy as xp
from minidl.kernels.cuda.launch import Module

#: Kernels with many parameters, with few, and with arrays for the most part.
KERNELS = (
    ("conv2d_implicit.cu", "conv2d_implicit_v2"),
    ("gemm.cu", "gemm_v5"),
    ("normalize.cu", "normalize_apply_v2"),
    ("activations.cu", "activations_relu_v1"),
)
CALLS = 50  # in a round


def arguments(module: Module, kernel: str) -> list[Any]:
    """Something that fits each parameter."""
    types = {"REAL": "float", "INDEX": "int"}
    made: list[Any] = []
    for parameter in module.signatures[kernel].parameters:
        dtype = parameter.dtype(types)
        if parameter.pointer:
            made.append(xp.zeros(64, dtype))
        else:
            made.append(dtype.type(1) if dtype.kind == "f" else dtype.kind == "b" or 4)
    return made


def measure(file: str, kernel: str, rounds: int) -> tuple[int, float, float]:
    """Parameters, and the seconds of a launch checked anew and of a planned one."""
    module = Module(file)
    module._compiled = lambda *_: lambda *args, **options: None  # type: ignore[method-assign]
    given, like, lowest = arguments(module, kernel), xp.zeros(64, xp.float32), [float("inf")] * 2
    for _ in range(rounds):
        for way in (0, 1):
            spent = 0.0
            for _ in range(CALLS):
                if way == 0:
                    module._plans.clear()
                began = time.perf_counter()
                module.launch(kernel, 4, 64, *given, like=like)
                spent += time.perf_counter() - began
            lowest[way] = min(lowest[way], spent / CALLS)
    return len(given), lowest[0], lowest[1]


def main() -> None:
    parser = argparse.ArgumentParser(description="host time of a launch, checked anew and planned")
    parser.add_argument("--rounds", type=int, default=30, help="turns of each")
    rounds = parser.parse_args().rounds
    print(f"{'kernel':24} parameters  checked anew   planned   ratio")
    for file, kernel in KERNELS:
        count, checked, planned = measure(file, kernel, rounds)
        times = f"{checked * 1e6:10.1f} us {planned * 1e6:6.1f} us"
        print(f"{kernel:24} {count:10} {times} {checked / planned:7.1f}")


if __name__ == "__main__":
    main()
