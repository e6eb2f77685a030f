r"""Regular expressions that cannot hang: RE2's, whose time grows with the text and never explodes.

Its syntax is that of Python and JavaScript without look-around and back-references; ``\d``, ``\w`` and ``\s`` are
ASCII. Found by looking for each match anew, matches times length could still be large, so both have limits.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import re2

from engine.errors import MappingFailed

LONGEST_PATTERN = 500
LONGEST_SEARCHED = 10_000
"""Characters of a text that is searched."""
MOST_MATCHES = 1_000
MOST_STEPS = 2_000
"""Of a compiled pattern: ``((a{9}){9}){9}`` is short to write and long to run."""

_GROUP = re.compile(r"\$\$|\$([0-9]{1,2})|\\([0-9]{1,2})")


class PatternError(MappingFailed):
    """A pattern that cannot be used, found when the event brought it; at load it is a LangError of the same text."""


@functools.lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """Return *pattern* compiled.

    Raises:
        PatternError: wrong syntax, or too large.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise PatternError(f"a pattern may have {LONGEST_PATTERN} characters, this one has {len(pattern)}")
    options = re2.Options()
    options.log_errors = False
    try:
        made = re2.compile(pattern, options=options)
    except re2.error as error:
        raise PatternError(_why(error, pattern)) from None
    if made.programsize > MOST_STEPS:
        raise PatternError(f"the pattern has {made.programsize} steps, more than {MOST_STEPS}: repeat less")
    return made


def is_found(text: str, pattern: str) -> bool:
    """Return whether *pattern* matches anywhere in *text*.

    Raises:
        MappingFailed: the pattern is wrong, or the text too long.
    """
    expression = compiled(pattern)
    _check_searched(text)
    return expression.search(text) is not None


def replaced(text: str, pattern: str, replacement: str, longest: int) -> str:
    r"""Return *text* with every match replaced.

    Args:
        text: what is searched.
        pattern: what for.
        replacement: ``$1`` and ``\1`` stand for a group, ``$0`` for the match, ``$$`` for a dollar.
        longest: characters the result may have.

    Raises:
        MappingFailed: the pattern is wrong, the text too long, too many matches, or a result beyond *longest*.
    """
    expression = compiled(pattern)
    _check_searched(text)
    parts: list[str] = []
    at, length = 0, len(text)
    for count, match in enumerate(expression.finditer(text), 1):
        if count > MOST_MATCHES:
            raise MappingFailed(f"the pattern matches more than {MOST_MATCHES} times")
        new = _GROUP.sub(functools.partial(_group, match), replacement)
        length += len(new)
        if length > longest:
            raise MappingFailed(f"the text would have more than {longest} characters")
        parts += [text[at : match.start()], new]
        at = match.end()
    return "".join([*parts, text[at:]])


def _group(match: Any, found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    if digits is None:
        return "$"
    number = int(digits)
    return (match.group(number) or "") if number <= match.re.groups else found[0]


def _check_searched(text: str) -> None:
    if len(text) > LONGEST_SEARCHED:
        raise MappingFailed(f"a text that is searched may have {LONGEST_SEARCHED} characters, this one has {len(text)}")


def _why(error: Exception, pattern: str) -> str:
    cause = error.args[0] if error.args else ""
    text = cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)
    if re.search(r"\(\?<?[=!]|\\[1-9]", pattern):
        text += " (look-around and back-references are not there)"
    return text
