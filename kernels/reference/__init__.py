"""Reference kernels: NumPy, vectorised but plain. They are the oracle of every faster backend (backend ``"numpy"``)."""
