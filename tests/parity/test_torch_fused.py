"""fused_conv2d beside torch's interpolate, cat, conv2d and relu one after the other."""

from __future__ import annotations

from hypothesis import assume, given

from oracles import fused_strategies
from parity.agreement import MINIDL, agree, both_raise, many


def line_of(case):
    """The operation in minidl, its parts in torch."""

    def line(F, *tensors):
        if F is MINIDL:
            return case.call(F, *tensors)
        options = dict(case.options)
        doubled, relu = options.pop("upsample_second", False), options.pop("relu", False)
        x, second, weight, bias = case.named(tensors)
        if second is not None:
            x = F.cat([x, F.interpolate(second, scale_factor=2) if doubled else second], 1)
        y = F.conv2d(x, weight, bias, **options)
        return F.relu(y) if relu else y

    return line


@many
@given(case=fused_strategies.fused())
def test_fused_conv2d(case):
    assume(not case.has_corner())
    agree(line_of(case), *case.arrays(), terms=case.terms)


@given(case=fused_strategies.fused())
def test_channels_that_do_not_fit(case):
    x, second, weight, bias = case.named(case.arrays())
    arrays = [a for a in (x, second, weight[:, :-1], bias) if a is not None]
    if weight.shape[1] > 1:
        both_raise(line_of(case), *arrays)
