"""A filter's grammar: from its pieces to a tree of clauses.

::

    filter     = all { "or" all }
    all        = one { "and" one }
    one        = ("not" | "!") one | "(" filter ")" | comparison
    comparison = operand [ sign operand | ["not"] "in" "(" operand { "," operand } ")" ]
    operand    = string | number | true | false | null | reference | function "(" operand { "," operand } ")"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

import msgspec
from msgspec import UNSET

from engine.errors import LangError, did_you_mean, one_of
from engine.lang import compare
from engine.lang.caret import pointed
from engine.lang.compare import Test
from engine.lang.path import Getter, Path, getter, parse
from engine.lang.tokens import WORDS, Token, tokenize

_LONGEST = 10_000
_DEEPEST = 50
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_VALUES: dict[str, Callable[[Any], Any]] = {
    "length": compare.length,
    "lowercase": compare.lowercase,
    "typeof": compare.type_name,
}
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "contains": compare.contains,
    "starts_with": compare.starts_with,
    "ends_with": compare.ends_with,
}
_ARGUMENTS = {"exists": 1, "match": 2} | dict.fromkeys(_VALUES, 1) | dict.fromkeys(_TESTS, 2)


class Leaf(msgspec.Struct, frozen=True):
    """One comparison or test.

    Attributes:
        text: as written.
        test: whether it holds for an event.
        paths: the references in it.
    """

    text: str
    test: Test
    paths: tuple[Path, ...]


class Group(msgspec.Struct, frozen=True):
    """Clauses joined by a word.

    Attributes:
        word: and | or | not (one part).
        parts: in the order in which they are tried.
    """

    word: str
    parts: tuple[Leaf | Group, ...]


Node: TypeAlias = Leaf | Group


class _Operand(msgspec.Struct, frozen=True):
    """One side of a comparison, or an argument.

    Attributes:
        token: where it begins.
        get: its value for an event.
        paths: the references in it.
        constant: its value when it is the same for every event, else UNSET.
        is_test: whether it is true or false, so that it may stand alone.
        path: the reference, when it is nothing else.
    """

    token: Token
    get: Getter
    paths: tuple[Path, ...] = ()
    constant: Any = UNSET
    is_test: bool = False
    path: Path | None = None


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
        left = self._operand()
        sign = self.token
        if sign.kind == "sign" and sign.text in _COMPARISONS:
            self.at += 1
            self._refuse_double_sign(sign)
            right = self._operand(f"a value after '{sign.text}'")
            test = self._compared(sign, left, right)
            return Leaf(self._since(left), test, left.paths + right.paths)
        if sign.kind == "word" and sign.text in {"in", "not"} and self._is_membership():
            return self._membership(left)
        if not left.is_test:
            self._fail_without_sign(left)
        return Leaf(self._since(left), left.get, left.paths)

    def _is_membership(self) -> bool:
        return self.token.text == "in" or self.tokens[self.at + 1].text == "in"

    def _membership(self, left: _Operand) -> Leaf:
        negated = self._take("word", "not")
        self.at += 1
        choices = self._list("in")
        paths = left.paths + tuple(path for choice in choices for path in choice.paths)
        test = _member(left, choices)
        return Leaf(self._since(left), (lambda event: not test(event)) if negated else test, paths)

    def _list(self, word: str) -> list[_Operand]:
        self._expect("(", f"'(' after '{word}'")
        found = [self._operand(f"a value after '{word} ('")]
        while self._take("sign", ","):
            found.append(self._operand("a value after ','"))
        self._expect(")", "',' or ')'")
        return found

    def _operand(self, wanted: str = "a reference, a value or a function") -> _Operand:
        token = self.token
        if token.kind in {"string", "number", "constant"}:
            self.at += 1
            return _Operand(token, lambda _event: token.value, constant=token.value)
        if token.kind == "reference":
            self.at += 1
            path = self._reference(token)
            return _Operand(token, getter(path), (path,), path=path)
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

    def _function(self, name: Token) -> _Operand:
        if name.text not in _ARGUMENTS:
            self._fail(f"unknown function '{name.text}': {did_you_mean(name.text, _ARGUMENTS) or one_of(_ARGUMENTS)}")
        self.depth += 1
        if self.depth > _DEEPEST:
            self._fail(f"more than {_DEEPEST} levels of functions")
        self.at += 1
        given = self._list(name.text)
        self.depth -= 1
        wanted = _ARGUMENTS[name.text]
        if len(given) != wanted:
            plural = "" if wanted == 1 else "s"
            self._fail(f"'{name.text}' takes {wanted} argument{plural}, not {len(given)}", name)
        return self._applied(name, given)

    def _applied(self, name: Token, given: Sequence[_Operand]) -> _Operand:
        paths = tuple(path for argument in given for path in argument.paths)
        get = given[0].get
        if name.text in _VALUES:
            value = _VALUES[name.text]
            return _Operand(name, lambda event: value(get(event)), paths)
        if name.text == "exists":
            if given[0].path is None:
                self._fail("'exists' takes a field reference", given[0].token)
            return _Operand(name, lambda event: not compare.is_missing(get(event)), paths, is_test=True)
        if name.text == "match":
            if not isinstance(given[1].constant, str):
                self._fail("the pattern of 'match' is a string", given[1].token)
            matches = compare.glob(given[1].constant)
            return _Operand(name, lambda event: matches(get(event)), paths, is_test=True)
        test, part = _TESTS[name.text], given[1].get
        return _Operand(name, lambda event: test(get(event), part(event)), paths, is_test=True)

    def _compared(self, sign: Token, left: _Operand, right: _Operand) -> Test:
        text = sign.text
        if left.constant is not UNSET and right.constant is UNSET:
            left, right, text = right, left, compare.MIRRORED[text]
        if text in compare.ORDERS and isinstance(right.constant, (bool, type(None))):
            self._fail(f"'{sign.text}' compares numbers or strings, not {right.token.text}", right.token)
        test = _sided(text, left, right)
        return (lambda event: not test(event)) if text == "!=" else test

    def _refuse_double_sign(self, sign: Token) -> None:
        if sign.text == "=" and self.token.text == "=" and self.token.start == sign.end:
            self._fail("'==' is written '='", sign)

    def _since(self, left: _Operand) -> str:
        return self.text[left.token.start : self.tokens[self.at - 1].end]

    def _take(self, kind: str, text: str) -> bool:
        if self.token.kind != kind or self.token.text != text:
            return False
        self.at += 1
        return True

    def _expect(self, sign: str, wanted: str) -> None:
        if not self._take("sign", sign):
            self._fail(f"expected {wanted}")

    def _fail_without_sign(self, left: _Operand) -> NoReturn:
        what = f"expected an operator after '{self._since(left)}'"
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


def _sided(sign: str, left: _Operand, right: _Operand) -> Test:
    """Return the test for one sign; that of ``!=`` is the one of ``=``, to be negated."""
    get, other, constant = left.get, right.get, right.constant
    if sign in compare.ORDERS:
        if constant is not UNSET:
            return compare.orders_constant(sign, get, constant)
        return lambda event: compare.ordered(sign, get(event), other(event))
    if constant is not UNSET:
        return compare.equals_constant(get, constant)
    return lambda event: compare.equal(get(event), other(event))


def _member(left: _Operand, choices: Sequence[_Operand]) -> Test:
    get = left.get
    if all(choice.constant is not UNSET for choice in choices):
        return compare.one_of_constants(get, [choice.constant for choice in choices])
    getters = [choice.get for choice in choices]

    def member(event: dict[str, Any]) -> bool:
        value = get(event)
        return any(compare.equal(value, choice(event)) for choice in getters)

    return member
