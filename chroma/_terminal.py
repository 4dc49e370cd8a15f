"""What a command line prints: text on any terminal, and one sentence where it cannot do what was asked."""

from __future__ import annotations

import os
import re
import reprlib
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

# how a terminal that lacks these characters shows them; those that are not here are written as an escape, \u2603
_ASCII: dict[str, str | int | None] = {
    "±": "+/-",
    "×": "x",
    "∞": "inf",
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "·": ".",
    "→": "->",
}
_ASCII |= {"≥": ">=", "≤": "<=", "ₘ": "_m", "‘": "'", "’": "'", "“": '"', "”": '"', "─": "-", "━": "-", "│": "|"}


class CommandLine(ArgumentParser):
    """A parser of options that refuses in one sentence and takes no option by the first letters of its name.

    Args:
        options: of ``argparse.ArgumentParser``.
    """

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, **options)
        # argparse takes -1e-4 for the name of an option
        self._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|-inf", re.IGNORECASE)

    def error(self, message: str) -> NoReturn:
        """End the program with exit code 2.

        Args:
            message: what is wrong with the options.
        """
        self.exit(2, f"{self.prog}: error: {message} (--help lists the options)\n")


def number(text: str) -> float:
    """Read a number from a command line.

    Args:
        text: of the option.

    Returns:
        The number.

    Raises:
        ArgumentTypeError: for text that is none.
    """
    try:
        return float(text)
    except ValueError:
        raise _no_number(text, "a number") from None


def whole_number(text: str) -> int:
    """Read a whole number from a command line.

    Args:
        text: of the option.

    Returns:
        The number.

    Raises:
        ArgumentTypeError: for text that is none.
    """
    try:
        return int(text)
    except ValueError:
        raise _no_number(text, "a whole number") from None


def _no_number(text: str, what: str) -> ArgumentTypeError:
    remedy = "; separate numbers with spaces alone" if "," in text else ""
    return ArgumentTypeError(f"{reprlib.repr(text)} is not {what}{remedy}")


def file_path(text: str) -> Path:
    """Read a path from a command line.

    Args:
        text: of the option.

    Returns:
        The path.

    Raises:
        ArgumentTypeError: for an empty text, which `Path` takes for the current folder.
    """
    if not text.strip():
        raise ArgumentTypeError("the path is empty; write ./ for the current folder")
    return Path(text)


def print_text(text: str) -> None:
    """Print text on standard output, whatever characters it has and whatever becomes of it.

    A long measurement is over by then: a reader that has gone (``| head``) or an output that is full raises nothing.

    Args:
        text: any characters; where the output lacks some, all of the text is printed in ASCII (``+/-`` for a sign of
            an error).
    """
    if sys.stdout is None:  # a program without a console, or with a closed output
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeError:
        text = text.translate(str.maketrans(_ASCII)).encode("ascii", "backslashreplace").decode()
    try:
        print(text, flush=True)
    except (OSError, ValueError) as error:  # ValueError: the output is closed
        _discard_output()
        if not isinstance(error, BrokenPipeError) and sys.stderr is not None:
            print(f"The report could not be printed ({error}).", file=sys.stderr)


def _discard_output() -> None:
    """Let what is still buffered for standard output go nowhere, so that Python ends without an error."""
    try:
        _discard(sys.stdout)
    except (OSError, ValueError):
        sys.stdout = None


def _discard(stream: Any) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


@contextmanager
def one_sentence(parser: ArgumentParser) -> Iterator[None]:
    """End the program with exit code 2 and one sentence, instead of a traceback, where it cannot do what was asked.

    Args:
        parser: of the command line, whose name begins the sentence.
    """
    before, sys.stderr = sys.stderr, sys.stderr and _Forgiving(sys.stderr)
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        _exit(parser, _words(error))
    except MemoryError as error:
        _exit(parser, f"there is not enough memory: use smaller numbers ({_words(error)})")
    except RuntimeError as error:
        if "memory" not in str(error):  # PyTorch's, of the host or a GPU
            raise
        _exit(parser, f"there is not enough memory: use smaller numbers ({_words(error)})")
    except KeyboardInterrupt:
        parser.exit(130, f"{parser.prog}: interrupted\n")
    finally:
        sys.stderr = before


class _Forgiving:
    """A stream for progress and warnings: once it cannot be written (a full disk, a reader that has gone), it is not.

    Libraries write their progress bars there, at moments when an error would end a finished training.
    """

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        with self._lossy():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what has been written, or drop it."""
        with self._lossy():
            self._stream.flush()

    @contextmanager
    def _lossy(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):  # ValueError: the stream is closed
            with suppress(OSError, ValueError):
                _discard(self._stream)


def _exit(parser: ArgumentParser, sentence: str) -> None:
    parser.exit(2, f"{parser.prog}: error: {sentence}\n")


def _words(error: BaseException) -> str:
    """What an error says, in one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
