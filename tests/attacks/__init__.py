"""Attacks on the command line: crafted, mutated and hostile inputs, and a count of what was survived.

``make break`` (``PYTHONPATH=.:tests python -m attacks``) runs all of them and writes docs/proof/attacks.md;
CI runs a share. One family of attacks is one module: a docstring whose first line is its row in the table,
``MEANS`` (what "survived" means beyond the rules of `attacks.bench`), ``COUNT`` (how many of them), and
``attack(bench, rng, count)``.
"""
