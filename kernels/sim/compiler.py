"""Compile what ``source.py`` makes, with the machine's C++ compiler, and keep the result on disk.

A file in the cache is named after a hash of everything that enters it: the text with all it includes, the
runtime, the options, the compiler and the processor. It is written under another name and renamed, so several
processes may compile the same thing at once. A source may keep a compiler busy for ever (templates that make
templates, a file without an end that is included), so that has limits, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from minidl.kernels import caching, compiling
from minidl.kernels.sim import processes
from minidl.kernels.sim.processes import Limits
from minidl.kernels.sim.source import Translated

RUNTIME = Path(__file__).parent / "runtime"

#: For all that is compiled. As NVIDIA's compiler does, a * b + c becomes one FMA; integers wrap around.
COMMON = (
    "-std=gnu++17",
    "-fPIC",
    "-pthread",
    "-fno-exceptions",
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    "-fmax-errors=20",
)
KERNEL = ("-x", "c++", "-ffp-contract=fast", "-fno-rtti", "-fno-threadsafe-statics", "-w")
#: By mode. The sanitizers put a call before each access and each doubtful step; the runtime answers them
#: (runtime/hooks.cpp), their own libraries are not linked.
MODES = {
    "fast": ("-O2", "-g1", "-gdwarf-4", "-fwrapv"),
    "check": (
        "-O1",
        "-fexpensive-optimizations",  # a * b + c as one FMA, as in fast mode
        "-g1",
        "-gdwarf-4",
        "-DCUDA_ON_CPU_CHECK",
        "-fno-tree-sra",
        "-fsanitize=thread",
        "-fsanitize=alignment,bounds,shift,integer-divide-by-zero,signed-integer-overflow",
        "--param=tsan-distinguish-volatile=1",
        "--param=tsan-instrument-func-entry-exit=0",
    ),
}
#: What only NVIDIA's compilers know and what changes nothing here.
IGNORED = re.compile(
    r"--?(std|arch|gpu-architecture|maxrregcount|ptxas-options|lineinfo|generate-line-info|use_fast_math|ftz|"
    r"prec-div|prec-sqrt|extra-device-vectorization|device-as-default-execution-space|restrict|Xptxas|"
    r"device-debug|default-device|w)\b.*|-G|-Wno-.*"
)


class NoCompiler(RuntimeError):
    """There is no C++ compiler; the message is one line that says what to install."""


class CompileError(RuntimeError):
    """The compiler refuses the source. The message has its own, whose lines are those of the ``.cu`` file."""


class CompileLimit(CompileError):
    """The compiler was ended, since it took longer, or more memory, than it may. The message is one line."""


@functools.cache
def compiler() -> str:
    """Path of g++: as ``MINIDL_CXX`` says, else the first found.

    Raises:
        NoCompiler: there is none.
    """
    given = os.environ.get("MINIDL_CXX")
    for name in (given,) if given else ("g++", *(f"g++-{n}" for n in range(16, 9, -1))):
        if path := shutil.which(name):
            return path
    missing = f"MINIDL_CXX={given} is no program" if given else "there is no g++"
    raise NoCompiler(
        f"{missing}: CUDA kernels are run on the CPU through GCC's C++ compiler, version 10 or newer; "
        "install it (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; conda: conda install "
        "gxx_linux-64), or name one: MINIDL_CXX=/path/to/g++"
    )


@functools.cache
def _identity() -> str:
    """The compiler's version and the processor, of which compiled code makes use."""
    version = _run([compiler(), "--version"]).splitlines()[0]
    return f"{version} {platform.machine()} {_processor()}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    match = re.search(r"^(?:flags|Features)\s*:.*$", text, re.M)
    return hashlib.sha256(match.group().encode()).hexdigest() if match else ""


def native() -> tuple[str, ...]:
    """Use all of this processor, above all its FMA instruction, where the compiler has the option."""
    return ("-march=native",) if platform.machine() in ("x86_64", "AMD64") else ("-mcpu=native",)


def cache_folder() -> Path:
    """Where compiled code is kept: ``MINIDL_SIM_CACHE``, else in the user's own cache folder.

    Where others could write there, or nobody can, it is a temporary folder (``kernels/caching.py``).
    """
    folder = caching.trusted(os.environ.get("MINIDL_SIM_CACHE") or caching.in_users_folder("sim"))
    _forget_old(folder)
    return folder


@functools.cache
def _forget_old(folder: Path) -> None:
    """Remove what was not used for a month (a file that is loaded is touched)."""
    for path in (*folder.glob("*.so"), *folder.glob("*.program")):
        try:
            if time.time() - path.stat().st_mtime > 30 * 24 * 3600:
                path.unlink()
        except OSError:  # another process was quicker
            continue


#: What the compiler writes when its limits end it, or a program of its own.
_ENDED = re.compile(
    r"^(?:\S*(?:cc1plus|g\+\+|as|ld|collect2|sh)\S*: .*|virtual )"
    r"(?:out of memory|memory exhausted|Killed|CPU time limit|File size limit|File too large|bad_alloc)",
    re.M,
)
#: Of what a compiler says, so many bytes are read; it writes files of so many at most.
_MESSAGES, _FILES = 2**20, 2**30


def _run(command: Sequence[str], folder: Path | None = None, limits: Limits | None = None) -> str:
    """What a program writes; with a folder, it is the compiler at work there, within limits."""
    environment = {**os.environ, "LC_ALL": "C"}
    if folder is None:
        done = processes.run(command, seconds=60, most=2**26, environment=environment)
    else:
        limits = limits or Limits()
        seconds = limits.compile_seconds or None
        # The shell sets what the compiler's own programs inherit: KiB, blocks of 512 bytes, seconds.
        sets = f"ulimit -c 0; ulimit -v {limits.memory // 1024}; ulimit -f {_FILES // 512}"
        if seconds is not None:
            sets += f"; ulimit -t {int(seconds) + 2}"
        done = processes.run(
            ["/bin/sh", "-c", f'{sets}; exec "$@"', "sh", *command],
            seconds=seconds,
            most=_MESSAGES,
            errors=subprocess.STDOUT,
            folder=folder,
            environment=environment,
        )
        if done.overran:
            raise CompileLimit(f"compiling took longer than {limits.compile_seconds:g} s and was ended")
    text = done.output.decode(errors="replace")
    if done.status and folder is not None and (done.status < 0 or _ENDED.search(text)):
        memory = "" if limits is None else f" of {limits.memory // 2**20} MiB"
        raise CompileLimit(
            f"the compiler was ended by its limits: memory{memory}, time, or the size of a file"
        )
    if done.status or done.overran:
        raise CompileError(text.strip() or f"{command[0]} ended with status {done.status}")
    return text


@functools.cache
def _runtime_digest() -> bytes:
    digest = hashlib.sha256()
    for path in sorted(RUNTIME.rglob("*")):
        if path.suffix in (".h", ".cpp"):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


def _name(*parts: object) -> str:
    text = repr(
        ("with checksum", parts, _identity(), os.environ.get("MINIDL_SIM_FIBERS", ""))
    )  # kernels name their runtime
    return hashlib.sha256(text.encode() + _runtime_digest()).hexdigest()[:24]


def _kept(
    name: str, build: Sequence[Sequence[str]], files: dict[str, str], limits: Limits | None = None
) -> Path:
    """The file of that name in the cache; if it is not there, made by commands that write ``out.so``."""
    target = cache_folder() / name
    if caching.read(target) is not None:
        with contextlib.suppress(OSError):
            os.utime(target)
        return target
    with tempfile.TemporaryDirectory(prefix="minidl-sim-") as work:
        folder = Path(work)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        with compiling.under_way():
            for command in build:
                _run(command, folder, limits)
        made = (folder / "out.so").read_bytes()  # the checksum behind it does not matter to who loads it
    if not caching.write(target, made):
        target = caching.private() / name
        if not caching.write(target, made):
            raise CompileError(f"{target}: there is no room for compiled code; free some, or set TMPDIR")
    return target


def runtime_library() -> Path:
    """The compiled runtime: one for all kernels and modes."""
    fibers = ["-DCUDA_ON_CPU_UCONTEXT"] if os.environ.get("MINIDL_SIM_FIBERS") == "ucontext" else []
    flags = [*COMMON, "-O2", "-fvisibility=default", "-fno-rtti", *fibers]
    name = f"cuda_on_cpu-{_name(flags)}.so"
    sources = [str(path) for path in sorted(RUNTIME.glob("*.cpp"))]
    command = [
        compiler(),
        *flags,
        "-shared",
        f"-Wl,-soname,{name}",
        "-Wl,-Bsymbolic",
        *sources,
        "-o",
        "out.so",
    ]
    return _kept(name, [command], {})


def runner_program() -> Path:
    """The program that runs a kernel in a process of its own (runtime/process)."""
    flags = [*COMMON, "-O2", "-fno-rtti"]
    name = f"kernel-{_name(flags)}.program"
    sources = [str(path) for path in sorted((RUNTIME / "process").glob("*.cpp"))]
    # Its functions come before the C library's for what it loads: -rdynamic.
    target = _kept(name, [[compiler(), *flags, "-rdynamic", *sources, "-ldl", "-o", "out.so"]], {})
    if not os.access(target, os.X_OK):
        target.chmod(0o700)
    return target


def kernel_library(
    source: Translated, options: Sequence[str], mode: str, limits: Limits | None = None
) -> Path:
    """The compiled kernels of a source.

    Raises:
        CompileError: the compiler's message, with the lines of the ``.cu`` file.
        CompileLimit: the compiler has come to its limits.
        NoCompiler: there is none.
    """
    flags = [*COMMON, *KERNEL, *MODES[mode], *native(), *options]
    name = f"kernels-{_name(flags, source.text, sorted(source.headers.items()))}.so"
    runtime = runtime_library()
    header = ["-include", str(RUNTIME / "cuda_on_cpu.h")]
    compile_ = [compiler(), *flags, f"-I{RUNTIME}", "-I.", *header, "-c", "kernels.cu", "-o", "kernels.o"]
    # Not linked with any sanitizer's library: whatever is undefined is the runtime's.
    link = [compiler(), "-shared", "-nostartfiles", "kernels.o", str(runtime), "-lm", "-o", "out.so"]
    return _kept(name, [compile_, link], {"kernels.cu": source.text, **source.headers}, limits)


def compiler_options(options: Sequence[str]) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """NVRTC's options as g++ takes them, and the folders of ``-I``.

    Raises:
        ValueError: an option that is not known.

    >>> compiler_options(("-std=c++17", "-DREAL=double", "--fmad=false"))
    (('-DREAL=double', '-ffp-contract=off'), ())
    """
    kept: list[str] = []
    folders: list[Path] = []
    waiting = ""
    for option in options:
        text = re.sub(
            r"^--(define-macro|undefine-macro|include-path)[= ]?",
            lambda m: f"-{m[1][0].upper()}",
            waiting + option,
        )
        waiting = ""
        if text in ("-D", "-I", "-U"):
            waiting = text
        elif text.startswith("-I"):
            folders.append(Path(text[2:].strip()))
        elif text.startswith(("-D", "-U")):
            kept.append(text)
        elif re.fullmatch(r"--?fmad=(true|false)", text):
            kept.append(f"-ffp-contract={'fast' if text.endswith('true') else 'off'}")
        elif not IGNORED.fullmatch(text):
            raise ValueError(
                f"option {option!r} is not known to the simulator; it takes -D, -U, -I and --fmad="
            )
    return (*kept, *(f"-I{folder.absolute()}" for folder in folders)), tuple(folders)


@functools.cache
def load_runtime(path: Path) -> ctypes.CDLL:
    """Load the runtime. Kernels find it by its name, since it is loaded before them."""
    return ctypes.CDLL(str(path))
