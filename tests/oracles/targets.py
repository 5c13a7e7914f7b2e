"""What stands where a file is to be written or read, and is none: each function makes one at a path."""

import os
import socket


def fifo(path):
    os.mkfifo(path)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as end:
        here = os.getcwd()
        os.chdir(path.parent)  # the address of a socket is short
        try:
            end.bind(path.name)
        finally:
            os.chdir(here)


def folder(path):
    path.mkdir()


def device(path):
    path.symlink_to("/dev/null")


def loop(path):
    path.symlink_to(path.name)


def link_to_a_folder(path):
    path.symlink_to(path.parent)
