"""Kernels in CUDA C, compiled when they are first needed (backends ``"cuda"`` and ``"cuda_sim"``).

A file here has the functions of the file of the same name in ``reference/``, with the same arguments and the
same results, on arrays that live on a device. Beside it lies its ``.cu`` file: the kernels themselves, in
versions from plain to fast, each with a line on what it changes and why that is faster.

What every file keeps to:

* Arrays on a device are in C order, (N, C, H, W). A kernel takes a pointer and knows nothing of strides, so
  the host code calls ``xp.ascontiguousarray`` on what may be a view.
* ``xp = namespace(x)`` (``device.py``) is CuPy for an array on a GPU, and its stand-in on the CPU
  (``kernels/sim/cupy``) for a simulated one. Nothing here imports CuPy by itself.
* Kernels are launched by the checked launcher only (``launch.py``): CuPy's own checks neither the number of
  the arguments, nor their types, nor where they live.
* Which version runs is said by a function of the shapes alone, ``choose``; ``version=`` overrides it.
"""
