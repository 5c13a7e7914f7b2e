"""Mutants of the ``.cu`` files: is a small mistake noticed? (``make mutants-cuda``, __main__.py)"""
