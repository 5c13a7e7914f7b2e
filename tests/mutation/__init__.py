"""Mutation testing: would the tests notice if a line of the library were wrong?

``make mutants`` changes one thing at a time in the operations, the tape and the reference kernels (a sign, a
bound, an axis, a condition, a statement left out), runs the tests that reach the changed line, and counts the
changes that no test notices. The results are ``docs/proof/mutants.json`` and the page beside it.

Why not one of the tools that exist? They were looked at (mutmut 3.8.1, cosmic-ray 8.7.0):

* mutmut keeps every mutant in one module, behind a trampoline for each function, and leaves out what it
  cannot wrap: functions with a decorator other than ``staticmethod`` or ``classmethod`` (see its
  ``file_mutation.py``), which is every kernel of ``kernels/reference/`` (``@c_order``), and what runs at
  import: constants, defaults, class bodies.
* cosmic-ray writes the mutant into the source file and starts a new process for the tests (``run_tests`` in
  its ``testing.py``). Importing NumPy, Hypothesis and pytest and collecting the tests takes a second or more;
  the test that notices usually takes a hundredth of that.

What is done here instead (the modules in the order in which they work):

    source.py, mutants.py   the changes: from a source text to texts that differ in one place
    baseline.py  which test reaches which lines, and how long it takes, unmutated
    forks.py     children with a time limit, a few at a time
    live.py      a pytest session that has collected all tests; each mutant is a fork of it in which one
                 function's code is exchanged, and the tests that reach the line run, quickest first
    fresh.py     code that runs at import: a fork that has imported neither minidl nor a test yet imports the
                 changed text instead
    store.py     results as they come, so that an interrupted run goes on where it stopped
    page.py      verdicts, and the page that shows them

A copy of the sources and tests is made at the start, and everything happens in it: nothing is written into
the checkout, and an editor saving files meanwhile changes nothing.
"""
