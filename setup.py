"""What pyproject.toml cannot say: which folders make up the package.

The folder ``kernels/`` at the top of the repository is the package ``minidl.kernels``. In a wheel it lies
inside ``minidl/``; in a clone ``minidl/_kernels.py`` finds it. All other metadata is in pyproject.toml.
"""

from setuptools import find_packages, setup

PACKAGES = [
    *find_packages(include=["minidl", "minidl.*"]),
    "minidl.kernels",
    *(f"minidl.kernels.{name}" for name in find_packages("kernels")),
]

# Every file of these two folders belongs to the library: CUDA and C++ sources are read at run time, the
# marker py.typed by type checkers. Only what Python, Numba and editors leave behind stays out.
EVERYTHING = ["*", "**/*"]
LEFT_BEHIND = ["*.py[cod]", "*.nbi", "*.nbc", "*__pycache__*", "*~", "*.orig", "*.rej", "*.swp"]

setup(
    packages=PACKAGES,
    package_dir={"minidl.kernels": "kernels"},
    package_data={"minidl": EVERYTHING, "minidl.kernels": EVERYTHING},
    exclude_package_data={"": LEFT_BEHIND},
    include_package_data=False,
    zip_safe=False,
)
