"""``python -m minidl``: the command line."""

from minidl.cli import entry

if __name__ == "__main__":
    entry()
