"""``minidl cuda-check`` on sources and arguments that mean no good: it ends, it says so, nothing stays."""

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minidl.cli import main
from minidl.kernels.sim import processes
from oracles.hostile import FINE, SMALL, refused

#: Kernels, each with what it must say. The file is compiled once.
LEAVING = {
    "calls_exit": ("if (threadIdx.x == 3) exit(0); x[threadIdx.x] = 1;", "stopped: exit(0) was called"),
    "calls_underscore_exit": ("_exit(0);", "stopped: _exit(0) was called"),
    "calls_abort": ("abort();", "stopped: abort() was called"),
    "ends_its_process": ("syscall(SYS_exit_group, 0);", "ended itself, with exit status 0"),
    "ends_its_thread": ("syscall(SYS_exit, 0);", "ended itself, with exit status 0"),
    "kills_itself": ("raise(SIGKILL);", "signal 9 (SIGKILL)"),
    "jumps": ("if (threadIdx.x) longjmp(place, 1); else if (setjmp(place)) return;", "longjmp() was called"),
    "ends_the_fiber": ("pthread_exit(0);", "pthread_exit() was called"),
    "forks": ("for (;;) fork();", "was refused: a new process"),
    "starts_a_program": ('execl("/bin/true", "true", (char*)0);', "was refused: exec"),
    "starts_a_shell": ('if (system("touch made")) return;', "may not have"),
    "starts_a_thread": ("unsigned long t; pthread_create(&t, 0, 0, 0);", "may not have"),
    "connects": ("socket(AF_INET, SOCK_STREAM, 0);", "was refused: socket"),
    "writes_a_file": ('open("made", O_WRONLY | O_CREAT, 0600);', "a file opened for writing"),
    "removes_a_file": ('unlink("leaves.cu");', "was refused"),
    "kills_the_checker": ("kill(getppid(), SIGKILL);", "a signal to another process"),
    "kills_everybody": ("kill(-1, SIGKILL);", "a signal to another process"),
    "forges": (
        'for (int f = 3; f < 64; f++) if (write(f, "clean", 5)) {}',
        "it wrote into the file of its results",
    ),
    "forges_and_ends": (
        'for (int f = 3; f < 64; f++) if (write(f, "clean", 5)) {} syscall(SYS_exit_group, 0);',
        "it wrote into the file of its results",
    ),
    "closes_every_file": ("for (int f = 0; f < 64; f++) close(f);", "ended itself"),
    "never_ends": ("for (;;) {}", "stuck: the launch took longer than 1 s and was ended"),
    "sleeps": ("for (;;) pause();", "stuck: the launch took longer than 1 s and was ended"),
    "takes_memory": ("for (;;) made = new char[1 << 26];", "asked for more than the 1024 MiB of memory"),
    "prints_a_verdict": ('puts("no findings"); fflush(0); exit(0);', "stopped: exit(0) was called"),
}
HEADER = """\
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
extern "C" int pthread_create(unsigned long*, void*, void*, void*);
extern "C" void pthread_exit(void*);
static jmp_buf place;
char* made;
"""
LEAVES = HEADER + "".join(
    f'extern "C" __global__ void {name}(int* x) {{ {body} }}\n' for name, (body, _) in LEAVING.items()
)


# ---------------------------------------------------------------------------------------------
# The file's code
# ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", LEAVING)
def test_a_kernel_that_leaves_is_a_finding(call, tmp_path, name):
    (tmp_path / "leaves.cu").write_text(LEAVES)
    code, out, err = call("leaves.cu", "--kernel", name, *SMALL, "--time-limit", 1, "--memory-limit", 1024)
    assert (code, err) == (1, "") and f"{name}: 1 finding" in out and "no findings" not in out
    assert LEAVING[name][1] in out
    assert [path.name for path in tmp_path.iterdir()] == ["leaves.cu"]


@pytest.mark.slow
def test_a_kernel_that_listens_to_no_signal_is_ended_from_outside(call, tmp_path):
    body = "for (int s = 1; s < 64; s++) signal(s, SIG_IGN); for (;;) {}"
    (tmp_path / "deaf.cu").write_text(HEADER + f'extern "C" __global__ void deaf(int* x) {{ {body} }}')
    code, out, _ = call("deaf.cu", *SMALL, "--time-limit", 1)
    assert code == 1 and "stuck: the process ended before the kernel did: it took longer than 1 s" in out


CONSTRUCTORS = {
    "exit(0);": "it ended itself, with exit status 0",
    "abort();": "signal 6 (SIGABRT)",
    "for (;;) {}": "it took longer than 1 s",
    "for (;;) made = new char[1 << 26];": "it asked for more than the 1024 MiB of memory",
}


@pytest.mark.parametrize("body", CONSTRUCTORS)
def test_a_constructor_that_leaves_is_one_line(call, tmp_path, body):
    text = f"struct Global {{ Global() {{ {body} }} }} global;\n"
    (tmp_path / "made.cu").write_text(HEADER + text + FINE)
    given = call("made.cu", *SMALL, "--time-limit", 1, "--memory-limit", 1024)
    refused(given, "made.cu: its code ended the process that loaded it", CONSTRUCTORS[body])


def test_a_constructor_can_do_nothing_but_compute(call, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "a word")
    (tmp_path / "made.cu").write_text(
        HEADER
        + """
        int seen;
        struct Global {
            Global() {
                seen = (fork() != -1) + 2 * (socket(AF_INET, SOCK_STREAM, 0) != -1) + 4 * (setsid() != -1)
                     + 8 * (open("made", O_WRONLY | O_CREAT, 0600) != -1) + 16 * (kill(getppid(), 0) != -1)
                     + 32 * (getenv("SECRET") != nullptr) + 64 * (unlink("made.cu") != -1);
            }
        } global;
        extern "C" __global__ void tell(int* x) { x[threadIdx.x] = seen; }
        """
    )
    code, out, err = call("made.cu", *SMALL, "--save", "x=x.npy")
    assert (code, err) == (0, ""), out + err
    assert np.load("x.npy").tolist() == [0] * 64 and not (tmp_path / "made").exists()


def test_it_is_said_once_whose_rights_the_code_has_and_before_it_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fine.cu").write_text(FINE)
    assert main(["cuda-check", "fine.cu", "--order", "0", "--order", "5", "--arg", "x=int32:1024:zeros"]) == 1
    said = capsys.readouterr().err
    assert said == "note: the code of fine.cu now runs, with your rights; check only what you would run\n"
    assert main(["cuda-check", "fine.cu", "--kernel", "other"]) == 2  # nothing of it has run
    assert "note" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("confined", "words"), [(0, "nor the network"), (1, "new processes and files"), (2, "")]
)
def test_a_system_that_takes_no_rights_away_is_said(monkeypatch, caplog, confined, words):
    from minidl.kernels import caching
    from minidl.kernels.sim import confined as module
    from minidl.kernels.sim.checking import the_kernel

    kernel = the_kernel(FINE, None)
    data = struct.pack("=IQ5siQ", confined, 5, b"P i w", 1024, 0)
    monkeypatch.setattr(kernel, "_ask", lambda *_: module._Reply(data))
    monkeypatch.setattr(caching, "_said", set())
    with caplog.at_level("WARNING", "minidl"):
        assert kernel.description.signature == [("P", "i", "w")]
    assert words in caplog.text and bool(caplog.text) == (confined < 2)


DAMAGED_REPLIES = {
    "nothing": b"",
    "half a number": b"\0\0",
    "a text longer than all": struct.pack("=Q", 2**63) + b"x",
    "a finding of no kind": struct.pack("=QIQ", 0, 1, 0),
    "findings without end": struct.pack("=QI", 0, 2**32 - 1),
}


@pytest.mark.parametrize("what", DAMAGED_REPLIES)
def test_a_reply_that_is_none_is_a_finding(monkeypatch, what):
    from minidl.kernels.sim import confined as module
    from minidl.kernels.sim.checking import check_kernel, the_kernel

    kernel = the_kernel(FINE, None)
    assert kernel.description.max_threads == 1024
    monkeypatch.setattr(kernel, "_ask", lambda *_: module._Reply(DAMAGED_REPLIES[what]))
    found = check_kernel(kernel, 1, 8, (np.zeros(8, np.int32),)).findings
    assert [f.kind for f in found] == ["crash"] and "the process ended" in str(found[0])


def test_a_launcher_that_launches_nothing_is_a_finding(call, tmp_path):
    (tmp_path / "none.cu").write_text(
        "#define PASTE(a, b) a##b\n#define NAMES PASTE(cuda_on, _cpu)\n"
        'extern "C" int PASTE(cuda_on_, cpu_run)(void (*)(void*), void*, const NAMES::Launch*,\n'
        "    const NAMES::Image*) { return 0; }\n"
        'extern "C" __global__ void none(int* x) { x[threadIdx.x + 1000] = 1; }\n'
    )
    code, out, _ = call("none.cu", *SMALL)
    assert code == 1 and "crash: the process ended before the kernel did" in out


def test_what_the_linker_says_is_one_line(call, tmp_path):
    (tmp_path / "much.cu").write_text(f"struct Global {{ ~Global() {{}} }} global;\n{FINE}")
    code, _, err = call("much.cu", *SMALL)
    assert code == 2 and err.count("\n") == 1 and "__dso_handle" in err


def test_orders_do_not_see_one_another(call, tmp_path):
    (tmp_path / "adds.cu").write_text(
        'int before = 1;\nextern "C" __global__ void adds(int* x) { x[threadIdx.x] += before; before = 5; }\n'
    )
    code, _, _ = call("adds.cu", *SMALL, "--block", 1, "--order", 0, "--order", 1, "--save", "x=x.npy")
    assert code == 0 and np.load("x.npy")[:2].tolist() == [1, 0]


# ---------------------------------------------------------------------------------------------
# Ctrl-C, and what is left
# ---------------------------------------------------------------------------------------------
def children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == pid and words[0] != "Z":
            found.append(int(path.parent.name))
    return found


def wait_for(what) -> None:
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_the_file_s_code_at_once(tmp_path, root, number, status):
    (tmp_path / "ends.cu").write_text('extern "C" __global__ void ends(int* x) { for (;;) {} }\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "minidl", "cuda-check", "ends.cu", "--time-limit", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ends: grid")  # then the kernel is started
        wait_for(lambda: children(process.pid))
        (child,) = children(process.pid)
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == status and "Traceback" not in err
    assert status < 0 or err.splitlines()[-1] == "minidl: stopped"
    wait_for(lambda: not is_running(child))


def test_ctrl_c_ends_the_compiler_at_once(tmp_path, root):
    (tmp_path / "endless.cu").write_text(ENDLESS + FINE)
    process = subprocess.Popen(
        [sys.executable, "-m", "minidl", "cuda-check", "endless.cu", "--compile-limit", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # The compiler's driver has a process of its own for the compiler.
        wait_for(lambda: [grandchild for child in children(process.pid) for grandchild in children(child)])
        started = [*(all_ := children(process.pid)), *(g for child in all_ for g in children(child))]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and err.splitlines()[-1] == "minidl: stopped"
    wait_for(lambda: not any(map(is_running, started)))


def test_what_a_program_leaves_behind_is_ended_with_it():
    ended = processes.run(["/bin/sh", "-c", "sleep 1000 & echo $!"], seconds=60, most=1000)
    assert ended.status == 0 and not ended.overran
    wait_for(lambda: not is_running(int(ended.output)))


def test_a_program_is_ended_when_its_time_is_over():
    ended = processes.run(["/bin/sh", "-c", "echo $$; exec sleep 1000"], seconds=0.5, most=1000)
    assert ended.overran and ended.status == -signal.SIGKILL and not is_running(int(ended.output))
    ended = processes.run(["/bin/sh", "-c", "exec >&-; exec sleep 1000"], seconds=0.5, most=1000)
    assert ended.overran and ended.output == b""


def test_of_a_program_s_output_no_more_than_asked_for_is_read():
    ended = processes.run(["/bin/sh", "-c", "yes"], seconds=60, most=100_000)
    assert len(ended.output) == 100_000 and ended.status == -signal.SIGKILL and not ended.overran


# ---------------------------------------------------------------------------------------------
# The source
# ---------------------------------------------------------------------------------------------
def test_files_that_are_no_files_are_one_line(call, tmp_path):
    os.mkfifo(tmp_path / "pipe.cu")
    (tmp_path / "link.cu").symlink_to("nowhere.cu")
    (tmp_path / "large.cu").write_bytes(b"\n" * (2**20 + 1))
    for name in ("pipe.cu", "link.cu", "large.cu", "/dev/zero", "."):
        refused(call(name), name)
        for form in (f'#include "{name}"', f"#include <{name}>"):
            (tmp_path / "includes.cu").write_text(f"{form}\n{FINE}")
            if name not in (".", "link.cu", "large.cu"):
                refused(call("includes.cu", "-I", tmp_path), name)
    for name in ("bad\nname.cu", "x" * 5000):
        refused(call(name))


def test_included_files_are_bounded_in_number_and_depth(call, tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.cuh").write_text(f'#pragma once\n#include "{number + 1}.cuh"\n')
    (tmp_path / "deep.cu").write_text(f'#include "0.cuh"\n{FINE}')
    refused(call("deep.cu"), "deep")
    for number in range(201):
        (tmp_path / f"{number}.cuh").write_text("")
    (tmp_path / "many.cu").write_text("".join(f'#include "{n}.cuh"\n' for n in range(201)) + FINE)
    refused(call("many.cu"), "more than 200 files")


def test_an_ordinary_header_beside_the_source_is_followed(call, tmp_path):
    (tmp_path / "a b.cuh").write_text(
        '#pragma once\n#include "a b.cuh"\n__device__ int one() { return 1; }\n'
    )
    (tmp_path / "uses.cu").write_text(
        '#include "a b.cuh"\nextern "C" __global__ void uses(int* x) { x[threadIdx.x] = one(); }\n'
    )
    assert call("uses.cu", *SMALL, "--save", "x=x.npy")[0] == 0
    assert np.load("x.npy").tolist() == [1] * 8 + [0] * 56


ENDLESS = """
template <unsigned long N, int M> struct Tree {
    static constexpr int value = Tree<2 * N, M - 1>::value + Tree<2 * N + 1, M - 1>::value;
};
template <unsigned long N> struct Tree<N, 0> { static constexpr int value = 1; };
static_assert(Tree<1, 40>::value > 0, "");
"""


def test_bounds_that_no_block_has_are_one_line(call, tmp_path):
    for bounds in ("0", "-1"):
        (tmp_path / "none.cu").write_text(f"__global__ void __launch_bounds__({bounds}) none() {{}}")
        refused(call("none.cu"), "none.cu: none: __launch_bounds__")
    (tmp_path / "much.cu").write_text("__global__ void much() { __shared__ char a[1 << 30]; a[0] = 1; }")
    refused(call("much.cu"), "bytes of static shared memory")


def test_the_compiler_is_ended_when_its_time_is_over(call, tmp_path):
    (tmp_path / "endless.cu").write_text(ENDLESS + FINE)
    refused(
        call("endless.cu", "--compile-limit", 1),
        "endless.cu: compiling took longer than 1 s",
        "--compile-limit",
    )


@pytest.mark.slow
def test_the_compiler_s_memory_is_bounded(call, tmp_path):
    (tmp_path / "zero.cu").write_text('#define FILE "/dev/zero"\n#include FILE\n' + FINE)
    refused(
        call("zero.cu", "--memory-limit", 1024),
        "zero.cu: the compiler was ended by its limits: memory of 1024 MiB",
    )


def test_a_source_without_templates_of_errors_is_refused_in_one_line(call, tmp_path):
    for text in ("throw 1;", "#error no\n", "int x = ;\n" * 1000, '__asm__("nop");'):
        (tmp_path / "bad.cu").write_text(f"__device__ void f() {{\n{text}\n}}\n{FINE}")
        refused(call("bad.cu"), "bad.cu:")
