"""Errors that are meant to be read by the person who runs the program."""

from __future__ import annotations

from minidl._text import LINE, shown


class InputError(ValueError):
    """Something the user gave (a file, a folder, an argument) cannot be used.

    The message is a single line that names the file or argument, says what is wrong with it, and what to do
    about it. The command line prints it as ``minidl: error: MESSAGE`` and exits with status 2. Names in it
    may be anybody's: characters that would act on a terminal are written out, and the line has an end.

    >>> raise InputError("photo.png: not an image file; give PNG, JPEG, TIFF or BMP")
    Traceback (most recent call last):
    minidl.errors.InputError: photo.png: not an image file; give PNG, JPEG, TIFF or BMP
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(shown(message, LINE))
