"""One module for each library, imported in its worker alone: how it prepares a workload and runs it once.

Each has a class ``Side(setting, threads)``, whose constructor imports the library and sets its threads, and
whose ``prepare(workload)`` gives a :class:`minidl.bench.sides.job.Job`.
"""
