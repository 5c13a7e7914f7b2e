"""The hot loops of minidl, the same operation side by side: one folder for each way of computing it.

``reference/`` is NumPy, readable and vectorised: what the other folders are checked against.

Kernels know arrays only: no Tensor, no autograd. They are imported as ``minidl.kernels``, in a clone too.

>>> import minidl.kernels.reference
>>> minidl.kernels.__name__
'minidl.kernels'
"""

if __name__ != "minidl.kernels":
    # A second module object for the same file would mean two kernel tables, each half filled.
    raise ImportError(
        f"this folder is the package minidl.kernels and is not importable as {__name__!r}:"
        " write 'import minidl.kernels'",
        name=__name__,
    )
