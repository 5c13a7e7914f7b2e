"""Backend ``"numpy"``: NumPy, vectorised but plain. These kernels are the oracle of every faster backend."""
