"""The arithmetic filters that differ from the library's: an amount must not lose its cents.

``3 | divided_by: 2`` is 1.5, as in LiquidJS (the library cuts it to 1); ``2.5 | round`` is 3, as everybody rounds (the
library rounds to the even 2). Division and multiplication are decimal: ``'19.99' | times: 100`` is 1999.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any

from liquid.builtin.filters.math import times as library_times
from liquid.filter import math_filter, num_arg

from engine.errors import MappingFailed

MOST_BITS = 1024
"""Of a whole number: beyond it nobody counts anything, and multiplying gets slow."""

_MOST_DIGITS = 30
_MATH = decimal.Context(prec=400, rounding=decimal.ROUND_HALF_UP, traps=[decimal.DivisionByZero])


def times(value: Any, factor: Any) -> Any:
    """Multiply; a whole product stays within `MOST_BITS`."""
    product = library_times(value, factor)
    if isinstance(product, int) and product.bit_length() > MOST_BITS:
        raise MappingFailed("the product is a number of more than 300 digits")
    return product


@math_filter
def divided_by(number: Any, divisor: Any) -> int | float:
    """Divide; what goes in without a rest stays whole where both are.

    Raises:
        MappingFailed: by zero.
    """
    divisor = num_arg(divisor, default=0)
    if divisor == 0:
        raise MappingFailed(f"divided_by: can't divide by {divisor}")
    if isinstance(number, int) and isinstance(divisor, int) and number % divisor == 0:
        return number // divisor
    return float(_MATH.divide(Decimal(str(number)), Decimal(str(divisor))))


@math_filter
def rounded(number: Any, digits: Any = None) -> int | float:
    """Round to *digits* after the point, 5 away from zero; without digits to a whole number.

    Raises:
        MappingFailed: infinity.
    """
    places = min(max(int(num_arg(digits, default=0)), 0), _MOST_DIGITS)
    if isinstance(number, int):
        return number
    if number - number != 0:
        raise MappingFailed(f"round: {number} is no number to round")
    found = Decimal(str(number)).quantize(Decimal(1).scaleb(-places), context=_MATH)
    return float(found) if places else int(found)
