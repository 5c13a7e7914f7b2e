"""What shapes the arrays of each kernel must have together: one table, which every call is held to.

A compiled kernel runs over flat memory: with an array that is shorter than the others it would read, and
write, what belongs to somebody else; NumPy would stretch it silently. The operations check what people give
them, with their own words. This is the last gate, the same for all backends: :func:`checked` is what
``minidl/dispatch.py`` puts around every kernel that it finds.

A line says of each array (or tuple of extents) what its axes are called: "g N K OH OW, weight K C kh kw"
means that the first extent of ``weight`` is the second one of ``g``. ``*`` stands for any number of axes,
which are the same wherever it stands; ``C/groups`` is an extent divided by an argument. Arrays that are None,
and numbers, are left out. What letters cannot say, a function does.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

Named = dict[str, Any]
#: What is wrong with the arguments, by name; None if nothing is.
Rule = Callable[[Named], str | None]


class ShapeMismatch(ValueError):
    """The arrays that a kernel was called with do not belong together."""


def same_shapes(what: str, arrays: Sequence[Any]) -> None:
    """Raise unless all arrays (None is left out) have the first one's shape.

    Raises:
        ShapeMismatch: one has another.

    >>> import numpy as np
    >>> same_shapes("adam.step", [np.zeros(4), np.zeros(3)])
    Traceback (most recent call last):
    minidl.kernels.contracts.ShapeMismatch: adam.step: arrays of one shape are needed, got (4,), (3,)
    """
    shape = arrays[0].shape
    for array in arrays:
        if array is not None and array.shape != shape:
            shapes = ", ".join(str(tuple(a.shape)) for a in arrays if a is not None)
            raise ShapeMismatch(f"{what}: arrays of one shape are needed, got {shapes}")


# --- what letters cannot say --------------------------------------------------------------------------------


def _broadcasts(name: str, to: str) -> Rule:
    def rule(a: Named) -> str | None:
        small, large = tuple(a[name].shape), tuple(a[to].shape)
        fits = len(small) <= len(large) and all(
            m in (1, n) for m, n in zip(reversed(small), reversed(large), strict=False)
        )
        return None if fits else f"{name} {small} does not broadcast to {to} {large}"

    return rule


def _extents(value: Any) -> tuple[int, ...]:
    """(H, W) of an array of pictures, or of extents."""
    shape: Any = getattr(value, "shape", value)
    return tuple(shape)[-2:]


def _windows(image: str, weight: str, out: str) -> Rule:
    """A convolution has no more windows than fit into the image (a transposed one's may be fewer)."""

    def rule(a: Named) -> str | None:
        windows = zip(
            _extents(a[image]), _extents(a[weight]), a["stride"], a["padding"], a["dilation"], strict=True
        )
        most = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in windows)
        found = _extents(a[out])
        fits = all(m <= n for m, n in zip(found, most, strict=True))
        return None if fits else f"{out} has {found} windows, but only {most} fit into {image}"

    return rule


def _pooled(image: str, out: str) -> Rule:
    """No window of a pooling begins behind the image."""

    def rule(a: Named) -> str | None:
        sizes, counts = _extents(a[image]), _extents(a[out])
        begins = zip(sizes, counts, a["stride"], a["padding"], strict=True)
        inside = all((count - 1) * s < n + p for n, count, s, p in begins)
        return None if inside else f"{out} has {counts} windows, some of which begin behind {image} {sizes}"

    return rule


def _groups_of_channels(a: Named) -> str | None:
    """Mean and deviation of a normalisation: one for each channel, or for each group of each image."""
    groups, x = a.get("groups"), a["x"]
    count = x.shape[1] if groups is None else x.shape[0] * groups
    wrong = [name for name in ("mean", "inv_std") if a[name].shape != (count,)]
    return f"{wrong[0]} {tuple(a[wrong[0]].shape)} should be ({count},)" if wrong else None


def _joined_channels(a: Named) -> str | None:
    """A convolution of two pictures: their channels together are the filter's."""
    x, second, weight = a["x"], a["second"], a["weight"]
    if second is None:
        return None
    size = tuple((2 if a["doubled"] else 1) * n for n in second.shape[2:])
    if x.shape[0] != second.shape[0] or size != tuple(x.shape[2:]):
        return f"x {tuple(x.shape)} and second {tuple(second.shape)} are no two parts of one picture"
    channels = x.shape[1] + second.shape[1]
    return None if weight.shape[1] == channels else f"weight {tuple(weight.shape)} for {channels} channels"


def _one_but_the_axis(a: Named) -> str | None:
    axis, shapes = a["axis"], [tuple(array.shape) for array in a["arrays"]]
    rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    return None if len(rest) == 1 else f"extents differ beside axis {axis}: {', '.join(map(str, shapes))}"


def _cut_up(a: Named) -> str | None:
    extent = a["g"].shape[a["axis"]]
    return None if sum(a["sizes"]) == extent else f"sizes {tuple(a['sizes'])} do not add up to {extent}"


def _all_windows(a: Named) -> str | None:
    count = math.prod(a["x_shape"][:2]) * math.prod(a["kernel"]) * math.prod(a["out"])
    return None if a["col"].size == count else f"col {tuple(a['col'].shape)} should have {count} numbers"


def _rows(a: Named) -> str | None:
    for number, row in enumerate(a["rows"]):
        arrays = [value for value in row if hasattr(value, "shape")]
        if any(array.shape != arrays[0].shape for array in arrays):
            shapes = ", ".join(str(tuple(array.shape)) for array in arrays)
            return f"arrays of parameter {number} differ in shape: {shapes}"
        if any(array.dtype != arrays[0].dtype for array in arrays):
            dtypes = ", ".join(str(array.dtype) for array in arrays)
            return f"arrays of parameter {number} differ in dtype: {dtypes}"
    return None


# --- the table ----------------------------------------------------------------------------------------------

_AFFINE = "x N C M, weight C, bias C"
_NORM = "g N C M, x N C M, weight C"
_CONV_X, _CONV_G = "x N C H W, weight K C/groups kh kw", "g N K OH OW"
_FUSED = "weight K C kh kw, bias K"

CONTRACTS: dict[str, tuple[str | Rule, ...]] = {
    **{f"activations.{name}_backward": ("g *, y *",) for name in ("relu", "sigmoid", "tanh")},
    **{
        f"activations.{name}_backward": ("g *, x *",)
        for name in ("leaky_relu", "hardswish", "silu", "elu", "softplus", "gelu", "gelu_tanh")
    },
    "adam.step": (_rows,),
    "sgd.step": (_rows,),
    "adaptive_avg_pool2d.backward": ("g N C OH OW, x_shape N C H W",),
    "arithmetic.add_to_rows": ("z * n, bias n",),
    "avg_pool2d.forward": ("out OH OW, divisor OH OW", _pooled("x", "out")),
    "avg_pool2d.backward": ("g N C OH OW, x_shape N C H W, divisor OH OW", _pooled("x_shape", "g")),
    "cat.forward": (_one_but_the_axis,),
    "cat.backward": (_cut_up,),
    "confusion.matrix": ("truth *, prediction *",),
    "conv2d.forward": (f"{_CONV_X}, bias K", _windows("x", "weight", "out")),
    "conv2d.backward_data": (
        f"x_shape N C H W, weight K C/groups kh kw, {_CONV_G}",
        _windows("x_shape", "weight", "g"),
    ),
    "conv2d.backward_weight": (
        f"x N C H W, weight_shape K C/groups kh kw, {_CONV_G}",
        _windows("x", "weight_shape", "g"),
    ),
    "cross_entropy.forward": ("logits N C M, labels N M, valid N M, class_weights C",),
    "cross_entropy.backward": ("slope N C M, g N M, valid N M",),
    "dropout.backward": (_broadcasts("mask", "g"),),
    "fused_conv2d.forward": (_FUSED, _joined_channels),
    "fused_conv2d.backward": ("g N K OH OW, y N K OH OW, weight K C kh kw", _joined_channels),
    "interpolate.backward": ("g N C OH OW, x_shape N C H W",),
    "max_pool2d.forward": (_pooled("x", "out"),),
    "max_pool2d.backward": ("g N C OH OW, tap N C OH OW, x_shape N C H W", _pooled("x_shape", "g")),
    "max_unpool2d.put": ("x N C h w, index N C h w",),
    "max_unpool2d.gather": ("x N C H W, index N C h w",),
    "max_unpool2d.scatter_add": ("y N C h w, index N C h w",),
    "normalize.forward": (_AFFINE,),
    "normalize.backward": (_NORM, _groups_of_channels),
    "normalize.forward_given": (_AFFINE, _groups_of_channels),
    "normalize.backward_given": (_NORM, _groups_of_channels),
    "softmax.backward": ("g *, p *",),
    "softmax.log_backward": ("g *, log_p *",),
    "unfold.backward": (_all_windows,),
}


# --- holding calls to it ------------------------------------------------------------------------------------


def checked(
    about: str, kernel: Callable[..., Any], reference: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """The kernel, but refusing arrays that do not belong together; itself if there is nothing to check.

    Args:
        about: operation and function, as in :data:`CONTRACTS`.
        kernel: what is called.
        reference: says by which names the arguments go; where it does not, the kernel itself does.
    """
    rules = [_in_letters(rule) if isinstance(rule, str) else rule for rule in CONTRACTS.get(about, ())]
    if not rules:
        return kernel
    signatures = (inspect.signature(function) for function in (reference, kernel) if function is not None)
    signature = next(filter(_says_names, signatures), None)
    if signature is None:  # a stand-in that does not say what its arguments are called
        return kernel
    variadic = [name for name, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD]
    names = list(signature.parameters)
    plain = not any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())

    @functools.wraps(kernel)
    def with_check(*args: Any, **options: Any) -> Any:
        if plain:  # a tenth of the time of bind()
            named = dict(zip(names, args, strict=False))
            named.update(options)
        else:
            named = signature.bind(*args, **options).arguments
            for name in variadic:
                named.update(named.pop(name, {}))
        for rule in rules:
            wrong = rule(named)
            if wrong is not None:
                raise ShapeMismatch(f"{about}: {wrong}")
        return kernel(*args, **options)

    return with_check


def _says_names(signature: inspect.Signature) -> bool:
    return all(p.kind is not p.VAR_POSITIONAL or p.name == "arrays" for p in signature.parameters.values())


def _in_letters(line: str) -> Rule:
    """The rule that a line of the table says."""
    entries = [(name, axes) for name, *axes in (entry.split() for entry in line.split(","))]

    def rule(a: Named) -> str | None:
        known: dict[str, Any] = {}
        for name, axes in entries:
            value = a.get(name)
            shape = getattr(value, "shape", value)
            if shape is None or isinstance(shape, int) or shape == ():
                continue
            fault = _fault(tuple(shape), axes, known, a)
            if fault:
                return (
                    f"{name} {tuple(shape)} {fault} (expected {name} {' '.join(axes)}; {_told(a, entries)})"
                )
        return None

    return rule


def _fault(shape: tuple[int, ...], axes: list[str], known: dict[str, Any], a: Named) -> str | None:
    """What is wrong with a shape, given the extents that are known by now; else these are added to."""
    if axes[0] == "*":
        rest = len(shape) - len(axes) + 1
        if rest < 0 or known.setdefault("*", shape[:rest]) != shape[:rest]:
            return "is of another shape"
        shape, axes = shape[rest:], axes[1:]
    if len(shape) != len(axes):
        return f"has {len(shape)} axes, not {len(axes)}"
    for extent, axis in zip(shape, axes, strict=True):
        letter, _, divisor = axis.partition("/")
        expected = known.setdefault(letter, extent * (a[divisor] if divisor else 1))
        if expected != extent * (a[divisor] if divisor else 1):
            return f"has {axis} = {extent}, which elsewhere is {expected // (a[divisor] if divisor else 1)}"
    return None


def _told(a: Named, entries: list[tuple[str, list[str]]]) -> str:
    shapes = ((name, getattr(a.get(name), "shape", a.get(name))) for name, _ in entries)
    return ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes if isinstance(shape, tuple | list))
