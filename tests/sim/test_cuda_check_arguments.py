"""``minidl cuda-check`` with arguments that mean no good: extents, arrays too large, damaged .npy files."""

import os
import struct

import numpy as np
import pytest

from oracles.hostile import FINE, refused


def test_extents_and_names_are_bounded(call, tmp_path):
    (tmp_path / "fine.cu").write_text(FINE)
    for option, values in {
        "--block": ["0", "1x0", "-1", "1025", "\u0663", "1x1x1x1", "99999999999", ""],
        "--grid": ["0", "0x1", "-5", "2147483647x65535x65535", "2147483648", "67108865", "1e3"],
        "--define": ["", "1A", "A B", "-o", "A\nB", "=1"],
        "--include": ["nowhere", "fine.cu", "/dev/null"],
        "--arg": ["x=int32:0x", "x=int32:\u0663", "x=int8:5:999", "x=int32:5:1e9", "x=object:3", "x=V100:3"],
        "--memory-limit": ["0", "1023"],
        "--compile-limit": ["-1", "nan"],
    }.items():
        for value in values:
            given = [] if option == "--arg" else ["--arg", "x=int32:8"]
            refused(call("fine.cu", *given, option, value))


def test_arrays_that_memory_has_no_room_for_are_refused_before_they_are_made(call, tmp_path):
    (tmp_path / "fine.cu").write_text(FINE)
    refused(call("fine.cu", "--arg", "x=int32:200000000"), "--arg x=int32:200000000", "--memory-limit")
    code, out, _ = call("fine.cu", "--arg", "x=int32:0", "--grid", 1, "--block", 1)
    assert code == 1 and "out of bounds: x[0] of an array of 0 elements" in out


def header(text: bytes, version: bytes = b"\1\0") -> bytes:
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text


def npy(shape: str, dtype: str = "'<i4'", order: str = "False", rest: bytes = bytes(256)) -> bytes:
    return header(f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()) + rest


DAMAGED = {
    "empty": b"",
    "cut off in the magic": b"\x93NUM",
    "cut off in the header": npy("(64,)")[:30],
    "cut off in the numbers": npy("(64,)")[:-1],
    "more numbers than said": npy("(63,)"),
    "a shape of 2**62": npy("(4611686018427387904,)"),
    "a shape past 64 bits": npy(f"({10**30},)"),
    "a negative shape": npy("(-64,)"),
    "two negative extents": npy("(-8, -8)"),
    "a shape of words": npy("('64',)"),
    "a thousand dimensions": npy(f"({'1, ' * 1000})"),
    "Python objects": npy("(64,)", "'|O'"),
    "structs": npy("(32,)", "[('a', '<i4'), ('b', '<i4')]"),
    "subarrays": npy("(8,)", "('<i4', (8,))"),
    "complex numbers": npy("(32,)", "'<c8'"),
    "text": npy("(16,)", "'<U4'"),
    "dates": npy("(32,)", "'<M8[s]'"),
    "no dtype": npy("(64,)", "'what'"),
    "deep brackets": header(b"(" * 9000),
    "code": header(b"__import__('os').system('touch made')"),
    "not a dictionary": header(b"[1, 2]"),
    "a gigabyte of header": b"\x93NUMPY\2\0" + struct.pack("<I", 2**30) + b"{" * 100,
    "a version to come": header(b"{}", b"\x09\0"),
    "nothing but zeros": bytes(500),
    "a pickle": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\ntouch made\x94\x85\x94R\x94.",
    "a zip": b"PK\3\4" + bytes(100),
}


def test_damaged_arrays_are_one_line_each(call, tmp_path):
    (tmp_path / "fine.cu").write_text(FINE)
    for name, data in DAMAGED.items():
        (tmp_path / "x.npy").write_bytes(data)
        given = call("fine.cu", "--arg", "x=x.npy")
        refused(given, "x.npy: "), name
    assert not (tmp_path / "made").exists()
    (tmp_path / "x.npy").unlink()
    os.mkfifo(tmp_path / "x.npy")
    refused(call("fine.cu", "--arg", "x=x.npy"), "x.npy: a named pipe")


@pytest.mark.parametrize("write", ["fortran", "big-endian", "version 3"])
def test_arrays_of_other_orders_are_read(call, tmp_path, write):
    (tmp_path / "fine.cu").write_text(
        'extern "C" __global__ void twice(const int* x, int* y) { y[threadIdx.x] = 2 * x[threadIdx.x]; }\n'
    )
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    kept = {"fortran": np.asfortranarray(x), "big-endian": x.astype(">i4"), "version 3": x}[write]
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array(file, kept, version=(3, 0) if write == "version 3" else None)
    given = ["--arg", "x=x.npy", "--arg", "y=int32:6", "--block", 6, "--grid", 1, "--save", "y=y.npy"]
    assert call("fine.cu", *given)[0] == 0
    assert np.load("y.npy").tolist() == (2 * x).ravel().tolist()
