"""``minidl bench kernels``: every kernel of every backend on one case each, checked, then timed.

* ``case.py``: what a case is; ``cases/``: all of them; ``costs.py``: FLOPs and least bytes of each.
* ``contestants.py``, ``torch_side.py``: who can compute a case here; ``check.py``: whether it is right.
* ``clocks.py``: times, on the host and by CUDA events; ``run.py``: turns, and the record.
* ``cards.py``, ``known.py``: what can be said of a GPU that is not here, always as a prediction.
* ``figures.py``, ``tables.py``, ``plots.py``: the record as numbers, Markdown and pictures.
"""
