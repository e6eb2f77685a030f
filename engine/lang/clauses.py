"""A filter's grammar: from its pieces to a tree of clauses.

::

    filter     = all { "or" all }
    all        = one { "and" one }
    one        = ("not" | "!") one | "(" filter ")" | comparison
    comparison = operand [ sign operand | ["not"] "in" "(" operand { "," operand } ")" ]
    operand    = string | number | true | false | null | reference | function "(" operand { "," operand } ")"
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeAlias

import msgspec
from msgspec import UNSET

from engine.errors import LangError, did_you_mean, one_of
from engine.lang import compare
from engine.lang.caret import pointed
from engine.lang.operands import (
    ARGUMENTS,
    Call,
    Clause,
    Compared,
    Constant,
    Field,
    Member,
    Operand,
    Standing,
    constant_of,
    paths_of,
)
from engine.lang.path import Path, parse
from engine.lang.tokens import WORDS, Token, tokenize

_LONGEST = 10_000
_DEEPEST = 50
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})


class Leaf(msgspec.Struct, frozen=True):
    """One comparison or test.

    Attributes:
        text: as written.
        clause: what it compares.
        paths: the references in it.
    """

    text: str
    clause: Clause
    paths: tuple[Path, ...]

    def test(self, event: dict[str, Any]) -> bool:
        """Return whether it holds for *event*; never raises."""
        return self.clause.test(event)


class Group(msgspec.Struct, frozen=True):
    """Clauses joined by a word.

    Attributes:
        word: and | or | not (one part).
        parts: in the order in which they are tried.
    """

    word: str
    parts: tuple[Leaf | Group, ...]


Node: TypeAlias = Leaf | Group


def parse_filter(text: str) -> Node:
    """Return the tree of *text*.

    Raises:
        LangError: with the column and a caret.
    """
    if len(text) > _LONGEST:
        raise LangError(f"a filter may have {_LONGEST} characters, this one has {len(text)}")
    if not text.strip():
        raise LangError("the filter is empty", "leave the filter out to let every event pass")
    return _Parser(text).whole()


class _Parser:
    """Reads the pieces from left to right; one method a line of the grammar."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def whole(self) -> Node:
        node = self._any()
        if self.token.kind != "end":
            self._fail_after_clause()
        return node

    def _any(self) -> Node:
        parts = [self._all()]
        while self._take("word", "or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Group("or", tuple(parts))

    def _all(self) -> Node:
        parts = [self._one()]
        while self._take("word", "and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Group("and", tuple(parts))

    def _one(self) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            self._fail(f"more than {_DEEPEST} levels of 'not' and parentheses")
        if self._take("word", "not") or self._take("sign", "!"):
            node: Node = Group("not", (self._one(),))
        elif self._take("sign", "("):
            node = self._any()
            self._expect(")", "'and', 'or' or ')'")
        else:
            node = self._comparison()
        self.depth -= 1
        return node

    def _comparison(self) -> Leaf:
        first = self.token
        left = self._operand()
        sign = self.token
        if sign.kind == "sign" and sign.text in _COMPARISONS:
            self.at += 1
            self._refuse_double_sign(sign)
            second = self.token
            right = self._operand(f"a value after '{sign.text}'")
            clause = _straight(sign.text, left, right)
            if sign.text in compare.ORDERS and isinstance(constant_of(clause.right), (bool, type(None))):
                literal = first if clause.left is right else second
                self._fail(f"'{sign.text}' compares numbers or strings, not {literal.text}", literal)
            return Leaf(self._since(first), clause, paths_of(left, right))
        if sign.kind == "word" and sign.text in {"in", "not"} and self._is_membership():
            return self._membership(first, left)
        if not isinstance(left, Call) or not left.is_test:
            self._fail_without_sign(first)
        return Leaf(self._since(first), Standing(left), paths_of(left))

    def _is_membership(self) -> bool:
        return self.token.text == "in" or self.tokens[self.at + 1].text == "in"

    def _membership(self, first: Token, left: Operand) -> Leaf:
        is_negated = self._take("word", "not")
        self.at += 1
        choices = [operand for _, operand in self._list("in")]
        return Leaf(self._since(first), Member(left, tuple(choices), is_negated), paths_of(left, *choices))

    def _list(self, word: str) -> list[tuple[Token, Operand]]:
        self._expect("(", f"'(' after '{word}'")
        found = [(self.token, self._operand(f"a value after '{word} ('"))]
        while self._take("sign", ","):
            found.append((self.token, self._operand("a value after ','")))
        self._expect(")", "',' or ')'")
        return found

    def _operand(self, wanted: str = "a reference, a value or a function") -> Operand:
        token = self.token
        if token.kind in {"string", "number", "constant"}:
            self.at += 1
            return Constant(token.value)
        if token.kind == "reference":
            self.at += 1
            return Field(self._reference(token))
        if token.kind == "function":
            return self._function(token)
        if token.kind == "word" and token.text in WORDS:
            self._fail(f"expected {wanted}: a field that is called '{token.text}' is written ['{token.text}']")
        raise pointed(f"expected {wanted}", self.text, token.start + 1)

    def _reference(self, token: Token) -> Path:
        try:
            return parse(token.text)
        except LangError as error:
            raise pointed(error.what, self.text, token.start + error.column) from None

    def _function(self, name: Token) -> Call:
        if name.text not in ARGUMENTS:
            self._fail(f"unknown function '{name.text}': {did_you_mean(name.text, ARGUMENTS) or one_of(ARGUMENTS)}")
        self.depth += 1
        if self.depth > _DEEPEST:
            self._fail(f"more than {_DEEPEST} levels of functions")
        self.at += 1
        given = self._list(name.text)
        self.depth -= 1
        wanted = ARGUMENTS[name.text]
        if len(given) != wanted:
            plural = "" if wanted == 1 else "s"
            self._fail(f"'{name.text}' takes {wanted} argument{plural}, not {len(given)}", name)
        if name.text == "exists" and not isinstance(given[0][1], Field):
            self._fail("'exists' takes a field reference", given[0][0])
        if name.text == "match" and not isinstance(constant_of(given[1][1]), str):
            self._fail("the pattern of 'match' is a string", given[1][0])
        return Call(name.text, tuple(operand for _, operand in given))

    def _refuse_double_sign(self, sign: Token) -> None:
        if sign.text == "=" and self.token.text == "=" and self.token.start == sign.end:
            self._fail("'==' is written '='", sign)

    def _since(self, first: Token) -> str:
        return self.text[first.start : self.tokens[self.at - 1].end]

    def _take(self, kind: str, text: str) -> bool:
        if self.token.kind != kind or self.token.text != text:
            return False
        self.at += 1
        return True

    def _expect(self, sign: str, wanted: str) -> None:
        if not self._take("sign", sign):
            self._fail(f"expected {wanted}")

    def _fail_without_sign(self, first: Token) -> NoReturn:
        what = f"expected an operator after '{self._since(first)}'"
        if self.token.kind == "word":
            word = self.token.text
            what += f": if '{word}' belongs to the name, write the name in brackets, as in ['x {word} y']"
        self._fail(what)

    def _fail_after_clause(self) -> NoReturn:
        what = "expected 'and', 'or' or the end"
        shouted = self._shouted_word()
        self._fail(f"{what}: write '{shouted.lower()}' for '{shouted}'" if shouted else what)

    def _shouted_word(self) -> str:
        near = " ".join(
            token.text for token in self.tokens[max(self.at - 1, 0) : self.at + 1] if token.kind != "string"
        )
        return next((word for word in near.split() if word != word.lower() and word.lower() in WORDS), "")

    def _fail(self, what: str, token: Token | None = None) -> NoReturn:
        raise pointed(what, self.text, (token or self.token).start + 1)


def _straight(sign: str, left: Operand, right: Operand) -> Compared:
    """Return the comparison with a lone constant on its right side."""
    if constant_of(left) is not UNSET and constant_of(right) is UNSET:
        return Compared(compare.MIRRORED[sign], right, left)
    return Compared(sign, left, right)
