"""Python's garbage collector waits while minidl is imported.

An import makes many thousands of objects, all of which stay. The collector counts new objects, and would
look through all of NumPy's and minidl's several times meanwhile, to find nothing: a fifth of the time of
``import minidl``. ``minidl/__init__.py`` imports this module first and calls :func:`resume` last.
"""

import gc

_was_enabled = gc.isenabled()
gc.disable()


def resume() -> None:
    """Let the collector go on, unless it was off before.

    What the import made goes to the old objects unseen (frozen and thawed): else the first thing that a
    program makes would set off the search that was to be spared.
    """
    if not _was_enabled:
        return
    if not gc.get_freeze_count():  # what others have frozen stays frozen
        gc.freeze()
        gc.unfreeze()
    gc.enable()
