"""Speed and memory beside other libraries: what ``minidl bench`` runs.

Read in this order: ``workloads.py`` (what is measured), ``contestants.py`` (who), ``run.py`` (how),
``analysis.py`` (what the samples say), ``tables.py`` and ``plots.py`` (how it is shown), ``profile.py``
(where one training step's time goes). docs/benchmarks.md explains the method.
"""
