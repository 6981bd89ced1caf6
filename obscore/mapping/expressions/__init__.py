"""The small language of the mapping's ``expr``: numbers, texts and header cards.

::

    {MJD-OBS} + {EXPTIME} / 86400
    "coadd" if {NCOMBINE} > 1 else lower(strip({OBSTYPE}))
    coalesce({TARGNAME}, split({OBJECT}, "_", 1), {fact:field})

- `nodes`       what a parsed expression is made of
- `functions`   the functions and operators: arguments, results, what they do
- `parser`      from the text to the tree
- `kinds`       numbers, texts, truth: what can be told before there are values
- `evaluation`  from the tree and the cards to a value

Names stand in braces, as in templates: header keywords in upper case (also ``{ESO INS FILT1 NAME}``
and ``{MJD-OBS}``), ``{fact:NAME}``, and ``{path}``, ``{stem}`` ... of the file. A name without a
value makes the whole nothing, but for `coalesce`, `has` and a branch that is not taken.

Evaluation ends: there are no loops and no regular expressions, and length, depth and the size of
texts are bounded. It raises nothing but `ExpressionError`.
"""

from __future__ import annotations

from obscore.mapping.expressions.evaluation import evaluate
from obscore.mapping.expressions.functions import FUNCTIONS, ExpressionError
from obscore.mapping.expressions.kinds import kind_of
from obscore.mapping.expressions.nodes import Kind, Node, Scalar, names_in
from obscore.mapping.expressions.parser import ExpressionSyntaxError, parse

__all__ = [
    "FUNCTIONS",
    "ExpressionError",
    "ExpressionSyntaxError",
    "Kind",
    "Node",
    "Scalar",
    "evaluate",
    "kind_of",
    "names_in",
    "parse",
]
