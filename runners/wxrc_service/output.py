"""What a service prints while it runs. It is worth less than the service: where nobody reads it any more, it goes nowhere."""

import errno
import os
import sys
from contextlib import suppress

import click

GONE = (errno.EPIPE, errno.EIO, errno.EBADF)
"""What writing says when the reader of a pipe has gone, or the terminal was closed."""


def say(text: str) -> None:
    """Print a line. A reader who has gone ends the printing, a full disk loses the line; neither ends the service."""
    try:
        click.echo(text)
    except OSError as error:
        if error.errno in GONE:
            discard_output()


def discard_output() -> None:
    """Send standard output nowhere from now on, what is still buffered included: else it would be reported at the exit."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    with suppress(OSError, ValueError):
        sys.stdout.flush()


def open_standard_streams() -> None:
    """Open those of the descriptors 0 to 2 that were closed by whoever started us: a file that got one of them would be printed into."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free, which is this one
