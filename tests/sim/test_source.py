"""How a source is read: in time that grows with its length, and without taking text for code."""

import contextlib

import pytest

from minidl.kernels.sim.source import SourceError, translate
from minidl.kernels.sim.texts import Text, split

#: Letters of each text. What takes the square of that, or more, would take minutes.
MANY = 100_000


def times(text: str) -> str:
    return (text * (MANY // len(text) + 1))[:MANY]


LONG = {
    "open declarations": times("__shared__ float a[16] "),
    "open extern declarations": times("extern __shared__ x "),
    "declarations with braces": times("__shared__ x { "),
    "one word": times("extern "),
    "whole declarations": "__global__ void f(){" + times("__shared__ float a[1];")[: MANY // 22 * 22] + "}",
    "open comments": times("/* "),
    "a comment of stars": "/*" + times("* /"),
    "escaped quotes": '"' + times('\\"'),
    "single quotes": times("a'b "),
    "open templates": times("template<"),
    "templates": times("template <a> x "),
    "templates of kernels": times("template<__global__ "),
    "kernels without a name": times("__global__\n"),
    "bounds": times("__global__ __launch_bounds__("),
    "brackets as bounds": "__global__ __launch_bounds__(" + times("()"),
    "kernels in kernels": "__global__ void f(){" * (MANY // 21) + "}" * (MANY // 21),
    "kernels that stay open": "__global__ void f(){" * (MANY // 20),
    "brackets as parameters": "__global__ void f(" + "(" * (MANY // 2) + ")" * (MANY // 2) + "){}",
    "spaces in alignas": "__shared__ alignas(" + " " * MANY + " float x;",
    "alignas": "__shared__ " + times("alignas(") + ";",
    "brackets in alignas": "__shared__ " + times("alignas((((") + ";",
    "attributes": "__shared__ " + times("__attribute__((") + ";",
    "extents that stay open": "void f(){__shared__ " + times("a b[") + ";}",
    "letters": "void f(){__shared__ " + times("aaaa!") + ";}",
    "stars": "void f(){__shared__ float " + times("* ") + "a;}",
    "includes": times('#include "nothing.h"\n'),
    "lines": "\n" * MANY + "<<<",
}


@pytest.mark.parametrize("what", LONG)
def test_a_long_source_is_read_or_refused(what):
    with contextlib.suppress(SourceError):
        assert translate(LONG[what], "long.cu").text


def test_brackets_and_words_in_quotes_and_comments_are_no_code():
    source = translate(
        "__global__ void f(int* x) { // __shared__ (\n"
        "    printf(\"\\033[1m __shared__ <<< asm(\"); char c = '{', d = '\\''; /* } */\n"
        "    __shared__ int n[1'000]; // }\n"
        "}\n"
        "__global__ void g(int y) {}\n",
        "quotes.cu",
    )
    assert {name: kernel.parameters for name, kernel in source.kernels.items()} == {"f": ("x",), "g": ("y",)}
    assert '"\\033[1m __shared__ <<< asm("' in source.text and "cuda_type_of_n [1'000];" in source.text


@pytest.mark.parametrize(
    "statement",
    [
        "__shared__ float a[4], *b, c[2][3]",
        "__shared__ alignas(16) unsigned char a[4]",
        "__shared__ __align__(sizeof(float4)) volatile float a[4]",
        "__shared__ __attribute__((aligned(16))) float a[4]",
        "__shared__ std::pair<int, float> a",
        "extern __shared__ float a[]",
        "extern alignas(8) __shared__ float a[]",
        "__shared__\nfloat\na\n[4]",
    ],
)
def test_declarations_that_are_understood(statement):
    text = translate(f"__global__ void f() {{ {statement}; }}", "f.cu").text
    assert "__shared__" not in text and "cuda_on_cpu_" in text
    assert text.count("\n", 0, text.index("launchers")) == statement.count("\n") + 2


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("__shared__ float a[4] = {1}", "cannot have an initial value"),
        ("__shared__ struct { int a; } b", "not understood"),
        ("__shared__ a", "not understood"),
        ("__shared__ float a[4]]", "not understood"),
        ("__shared__ float (*a)[4]", "not understood"),
    ],
)
def test_declarations_that_are_refused_with_their_line(statement, why):
    with pytest.raises(SourceError, match=rf"^f\.cu:2: .*{why}"):
        translate(f"__global__ void f() {{\n {statement}; }}", "f.cu")


@pytest.mark.parametrize("name", ["cuda_on_cpu_run", "__tsan_write4", "__ubsan_handle_out_of_bounds"])
def test_names_of_the_simulator_s_own_are_refused(name):
    with pytest.raises(SourceError, match=rf"^f\.cu:2: {name} is a name of the simulator's own"):
        translate(f'__global__ void f() {{}}\nextern "C" int {name}(void*) {{ return 0; }}', "f.cu")
    assert translate(f"// {name}\n__global__ void f() {{}}", "f.cu").kernels


def test_a_place_in_a_text():
    text = Text("a {\n b [ ( ] }\n}")
    assert [text.line(place) for place in (0, 3, 4, 14, 15)] == [1, 1, 2, 2, 3]
    assert [text.inside(place) for place in (2, 3, 12, 14)] == [False, True, True, False]
    assert text.closing(9) == 11 and text.closing(0) is None
    assert split("a, (b, c), d<e, f>") == ["a", " (b, c)", " d<e, f>"]
