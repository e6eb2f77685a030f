"""A filter's text in pieces: strings, numbers, references, function names, words and signs."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from engine.lang.caret import pointed

WORDS = frozenset({"and", "or", "not", "in"})
"""Words that end a bare reference when they stand between spaces."""

_SIGNS = ("!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "!")
_ENDS_A_REFERENCE = frozenset("=!<>(),")
_WORD = re.compile(r"(?:and|or|not|in)(?=[\s(\"'!]|\Z)")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?\Z")
_CONSTANTS = {"true": True, "false": False, "null": None}
_ESCAPES = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}
_CURLY = frozenset("\u201c\u201d\u2018\u2019")
_LONGEST_NUMBER = 300


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a filter.

    Attributes:
        kind: string | number | constant | reference | function | word | sign | end.
        text: as written (a reference without the spaces around it).
        start: position of its first character, from 0.
        value: what a string, number or constant stands for.
    """

    kind: str
    text: str
    start: int
    value: Any = None

    @property
    def end(self) -> int:
        """Return the position behind its last character."""
        return self.start + len(self.text)


def tokenize(text: str) -> list[Token]:
    """Return the pieces of *text*; the last one has the kind ``end``.

    Raises:
        LangError: an unclosed string, an unknown escape in a string, a curly quote.
    """
    tokens: list[Token] = []
    at = 0
    while True:
        at = _skip_spaces(text, at)
        if at == len(text):
            tokens.append(Token(kind="end", text="", start=at))
            return tokens
        tokens.append(_next(text, at))
        at = tokens[-1].end


def _next(text: str, at: int) -> Token:
    letter = text[at]
    if letter in "\"'":
        return _string(text, at)
    if letter in _CURLY:
        raise pointed("a curly quote: write \" or '", text, at + 1)
    for sign in _SIGNS:
        if text.startswith(sign, at):
            return Token(kind="sign", text=sign, start=at)
    word = _WORD.match(text, at)
    if word:
        return Token(kind="word", text=word.group(), start=at)
    return _bare(text, at)


def _string(text: str, start: int) -> Token:
    quote, value, at = text[start], "", start + 1
    while at < len(text) and text[at] != quote:
        if text[at] == "\\":
            letter = text[at + 1 : at + 2]
            if letter not in _ESCAPES or not letter:
                raise pointed(f"unknown escape '\\{letter}' in a string: a backslash is written '\\\\'", text, at + 1)
            value += _ESCAPES[letter]
            at += 2
        else:
            value += text[at]
            at += 1
    if at == len(text):
        raise pointed(f"the string is not closed: expected {quote}", text, start + 1)
    return Token(kind="string", text=text[start : at + 1], start=start, value=value)


def _bare(text: str, start: int) -> Token:
    """Read what has no quotes: a number, a constant, a function's name or a reference."""
    end = _end_of_bare(text, start)
    word = text[start:end]
    if text[_skip_spaces(text, end) :].startswith("("):
        return Token(kind="function", text=word, start=start)
    if word in _CONSTANTS:
        return Token(kind="constant", text=word, start=start, value=_CONSTANTS[word])
    number = word.split(maxsplit=1)[0]
    if _NUMBER.match(number) and len(number) < _LONGEST_NUMBER:
        # What follows a number is no part of a name: "1 2" is a forgotten comma.
        whole = number.lstrip("-").isdigit()
        return Token(kind="number", text=number, start=start, value=int(number) if whole else float(number))
    return Token(kind="reference", text=word, start=start)


def _end_of_bare(text: str, at: int) -> int:
    end = at
    while at < len(text) and text[at] not in _ENDS_A_REFERENCE:
        if text[at].isspace():
            at = _skip_spaces(text, at)
            if _WORD.match(text, at):
                break
        else:
            at = _past_character(text, at)
            end = at
    return end


def _past_character(text: str, at: int) -> int:
    """Return the position behind one character, an escape, or a whole ``['…']``."""
    if text[at] == "\\":
        return min(at + 2, len(text))
    if text[at : at + 2] not in {"['", '["'}:
        return at + 1
    quote, at = text[at + 1], at + 2
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def _skip_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
