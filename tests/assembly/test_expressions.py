"""The language of expressions: what it says, beside Python's own evaluation of the same."""

from __future__ import annotations

import math
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from obscore.mapping.expressions import (
    FUNCTIONS,
    ExpressionError,
    ExpressionSyntaxError,
    evaluate,
    kind_of,
    names_in,
    parse,
)

CARDS = {
    "MJD-OBS": 59000.5,
    "EXPTIME": 30,
    "ESO INS FILT1 NAME": "r_SDSS",
    "OBJECT": " NGC 5194_b ",
    "QUOTED": "12.5",
    "FLAG": True,
    "NCOMBINE": 3,
    "fact:visit": 2026030400123,
    "stem": "c4d_150411_ooi_z",
}


def value_of(text, cards=CARDS):
    return evaluate(parse(text), cards.get)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{MJD-OBS} + {EXPTIME} / 86400", 59000.5 + 30 / 86400),
        ("-2**2 + 2**3**2", 508.0),
        ("2 - 3 - 4 * 5 / 2", -11.0),
        ("(2 - 3) * -4", 4.0),
        ("1.5e3 + .5", 1500.5),
        ('"coadd" if {NCOMBINE} > 1 else "visit"', "coadd"),
        ("1 if false else 2 if {FLAG} else 3", 2.0),
        ("lower({ESO INS FILT1 NAME})", "r_sdss"),
        ("upper('a') + 'b'", "Ab"),
        ("strip({OBJECT})", "NGC 5194_b"),
        ("length(strip({OBJECT}))", 10),
        ("replace(strip({OBJECT}), ' ', '')", "NGC5194_b"),
        ("split({stem}, '_', 2)", "150411"),
        ("split({stem}, '_', -1)", "z"),
        ("split({stem}, '_', 5)", None),
        ("substring({stem}, 5, 2)", "15"),
        ("substring({stem}, 5)", "150411_ooi_z"),
        ("substring({stem}, 500)", ""),
        ("number(substring({stem}, 5, 2)) + 2000", 2015.0),
        ("{QUOTED} * 2", 25.0),
        ("{QUOTED} == 12.5 and '12.5' == {QUOTED} and {QUOTED} != 'x'", True),
        ("{OBJECT} == 3", False),
        ("'a' < 'b' and not 2 <= 1", True),
        ("{FLAG} == true", True),
        ("text({fact:visit})", "2026030400123"),
        ("text({EXPTIME} * 1000)", "30000"),
        ("{NONE} + 1", None),
        ("1 if {NONE} > 1 else 2", None),
        ("{NONE} > 1 or {FLAG}", True),
        ("{NONE} > 1 or not {FLAG}", None),
        ("{FLAG} and {NONE} == 1", None),
        ("not {FLAG} and {NONE} == 1", False),
        ("coalesce({NONE}, {ALSO}, {EXPTIME})", 30),
        ("coalesce({NONE}, {ALSO})", None),
        ("{EXPTIME} if has({EXPTIME}) else {NONE} + 1", 30),
        ("contains({stem}, 'ooi') and starts({stem}, 'c4d') and not ends({stem}, 'x')", True),
        ("min(3, 1, 2) + max(3, 1, 2)", 4.0),
        ("abs(-3) + floor(2.7) + ceil(2.2)", 8.0),
        ("round(2.5) + round(1.2345, 2)", 3.23),
        ("sqrt(16) + log10(1000)", 7.0),
        ("mjd('2026-03-04T12:00:00')", 61103.5),
        ("mjd('04/03/96')", 50146.0),
        ("timestamp(mjd('2026-03-04T05:06:07.4') + 365)", "2027-03-04T05:06:07"),
        ("timestamp(0)", "1858-11-17T00:00:00"),
        ("deg('-00:30:36')", -0.51),
        ("deg('12 30 00.0') * 15", 187.5),
        ("deg('7.5')", 7.5),
    ],
)  # fmt: skip
def test_value(text, value):
    made = value_of(text)
    assert made == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)
    assert (made is None) == (value is None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / ({EXPTIME} - 30)", "division by zero"),
        ("{OBJECT} * 2", "' NGC 5194_b ' is no number"),
        ("{OBJECT} < 2", "is no number"),
        ("{OBJECT} + 2", "is no number"),
        ("{FLAG} + 1", "'True' is no number"),
        ("1 if {EXPTIME} else 2", "'30' is neither true nor false"),
        ("(0 - {EXPTIME}) ** 0.5", "-30 ** 0.5 is no real number"),
        ("10 ** 10 ** 10", "the result of '**' is too large"),
        ("1e308 * 10", "the result of '*' is too large"),
        ("sqrt(0 - {EXPTIME})", "-30 has no square root"),
        ("log10(0)", "0 has no logarithm"),
        ("split({stem}, '', 1)", "split has no separator"),
        ("split({stem}, '_', 1.5)", "the part is 1.5, no whole number"),
        ("substring({stem}, 0)", "the first character of a text is number 1"),
        ("substring({stem}, 1, 0 - 1)", "a length is less than 0"),
        ("replace({stem}, '', 'x')", "replace has nothing to look for"),
        ("mjd({OBJECT})", "is no date"),
        ("timestamp(1e9)", "1e+09 is no date"),
        ("deg('12:61:00')", "'12:61:00' is no angle"),
        ("number({OBJECT})", "is no number"),
        ("{LONG} + {LONG}", "a text is longer than 10000 characters"),
        ("replace({LONG}, 'x', 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy')", "longer than 10000"),
    ],
)
def test_values_without_a_result(text, words):
    with pytest.raises(ExpressionError) as caught:
        value_of(text, CARDS | {"LONG": "x" * 6000})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a value is missing before the end"),
        ("1 +", "a value is missing before the end"),
        ("1 + * 2", "a value is missing before '*' at character 5"),
        ("1 2", "an operator is missing before '2' at character 3"),
        ("(1 + 2", "the parenthesis of character 1 is not closed before the end"),
        ("min(1, 2", "the parenthesis of character 1 is not closed before the end"),
        ("1 + 2)", "an operator is missing before ')' at character 6"),
        ("{EXPTIME", "the brace at character 1 has no other"),
        ("1 + }", "the brace at character 5 has no other"),
        ("'abc", "the text that begins at character 1 does not end"),
        ("1 = 2", "'=' at character 3 is no operator; '==' compares"),
        ("1 < 2 < 3", "comparisons are joined by 'and'"),
        ("1 if 2 > 1", "'if' has no 'else' before the end"),
        ("EXPTIME + 1", "'EXPTIME' at character 1 is no value: names of cards stand in braces"),
        ("__import__('os')", "there is no function '__import__'; there are coalesce, has, "),
        ("lower.upper('x')", "at character 6 is not understood"),
        ("lower()", "lower takes 1 argument, not 0"),
        ("substring('abc')", "substring takes 2 to 3 arguments, not 1"),
        ("1 ; 2", "'; 2' at character 3 is not understood"),
        ("12abc", "'12abc' at character 1 is not understood"),
        ("1_000", "'1_000' at character 1 is not understood"),
        ("\u0661 + 1", "at character 1 is not understood"),
        ("1e999", "1e999 is too large a number"),
        ("x" * 2001, "longer than 2000 characters"),
        ("(" * 60 + "1" + ")" * 60, "deeper than 50 levels"),
        ("1" + " + 1" * 60, "deeper than 50 levels"),
        ("2" + "**2" * 60, "deeper than 50 levels"),
        ("-" * 60 + "1", "deeper than 50 levels"),
        ("not " * 60 + "true", "deeper than 50 levels"),
        ("'a' * 2", "'*' at character 5 takes numbers, and is given a text; number(...) reads one"),
        ("{stem} * 2", "'*' at character 8 takes numbers, and is given a text"),
        ("1 + 'a'", "'+' at character 3 takes two numbers or two texts"),
        ("lower('a') < 2", "'<' at character 12 takes two numbers or two texts"),
        ("true < false", "'<' at character 6 takes two numbers or two texts"),
        ("not 3", "'not' at character 1 takes conditions, and is given a number"),
        ("lower(1 < 2)", "'lower' at character 1 takes texts, and is given a condition"),
        ("1 if 'a' else 2", "'if' at character 3 takes conditions, and is given a text"),
    ],
)
def test_faults_are_told_with_their_place(text, words):
    with pytest.raises(ExpressionSyntaxError) as caught:
        kind_of(parse(text), lambda name: "text" if name == "stem" else "any")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{A} + 1", "any"), ("{A} * 2", "number"), ("'a' + 'b'", "text"), ("1 + 1", "number"),
        ("'a' if {A} else 'b'", "text"), ("'a' if {A} else 1", "any"), ("{A}", "any"),
        ("coalesce({A}, 1)", "any"), ("coalesce(2, 1)", "number"), ("{A} == 1", "truth"),
        ("lower(3)", "text"), ("-{A}", "number"), ("has({A}) or {B}", "truth"),
    ],
)  # fmt: skip
def test_kind(text, kind):
    assert kind_of(parse(text), lambda _: "any") == kind


def test_names_are_told_in_order():
    assert list(names_in(parse("{A-1} + min({B}, {A-1}) if has({fact:x y}) else 2"))) == [
        "fact:x y", "A-1", "B", "A-1",
    ]  # fmt: skip


# The same tree as our text and as Python's.

NUMBERS = {"A": 3.0, "B": -2.5, "C-1": 1e6, "D": 0.0}
TEXTS = {"S": "Abc def", "T": "x_y_z", "U": ""}
_leaf_numbers = st.one_of(
    st.integers(0, 9).map(lambda n: (str(n), f"{n}.0")),
    st.floats(1e-6, 1e9).map(lambda x: (repr(x), repr(x))),
    st.sampled_from(sorted(NUMBERS)).map(lambda n: (f"{{{n}}}", f"N[{n!r}]")),
)
_leaf_texts = st.one_of(
    st.text(string.ascii_letters + " _", max_size=5).map(lambda s: (f"'{s}'", repr(s))),
    st.sampled_from(sorted(TEXTS)).map(lambda n: (f"{{{n}}}", f"T[{n!r}]")),
)


def _both(form, *parts, python=None):
    """Write parts into one form for both languages, or one for each."""
    return (
        form.format(*(part[0] for part in parts)),
        (python or form).format(*(part[1] for part in parts)),
    )


@st.composite
def numbers(draw, depth=4):
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(_leaf_numbers)
    below = numbers(depth=depth - 1)
    match draw(st.integers(0, 9)):
        case 0 | 1 | 2:
            sign = draw(st.sampled_from(["+", "-", "*", "/", "**"]))
            a, b = draw(below), draw(below)
            # Without parentheses around the right one, so that the order of binding is tried.
            form = draw(st.sampled_from(["({0}) SIGN {1}", "{0} SIGN {1}"])).replace("SIGN", sign)
            return _both(form, a, b)
        case 3:
            return _both("-{0}", draw(below))
        case 4:
            name = draw(st.sampled_from(["min", "max"]))
            return _both(f"{name}({{0}}, {{1}}, {{2}})", draw(below), draw(below), draw(below))
        case 5:
            name = draw(st.sampled_from(["abs", "floor", "ceil", "sqrt", "log10", "round"]))
            return _both(f"{name}({{0}})", draw(below))
        case 6:
            condition = draw(conditions(depth=depth - 1))
            return _both("({0} if {1} else {2})", draw(below), condition, draw(below))
        case 7:
            return _both("length({0})", draw(texts(depth=depth - 1)), python="float(len({0}))")
        case _:
            return _both("({0})", draw(below))


@st.composite
def texts(draw, depth=3):
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return draw(_leaf_texts)
    below = texts(depth=depth - 1)
    match draw(st.integers(0, 4)):
        case 0:
            return _both("({0} + {1})", draw(below), draw(below))
        case 1:
            name = draw(st.sampled_from(["lower", "upper", "strip"]))
            return _both(f"{name}({{0}})", draw(below), python=f"{{0}}.{name}()")
        case 2:
            old = draw(st.sampled_from(["a", "_", "bc"]))
            return _both(f"replace({{0}}, '{old}', {{1}})", draw(below), draw(below),
                         python=f"{{0}}.replace('{old}', {{1}})")  # fmt: skip
        case 3:
            first, length = draw(st.integers(1, 6)), draw(st.integers(0, 4))
            return _both(f"substring({{0}}, {first}, {length})", draw(below),
                         python=f"{{0}}[{first - 1}:{first - 1 + length}]")  # fmt: skip
        case _:
            condition = draw(conditions(depth=depth - 1))
            return _both("({0} if {1} else {2})", draw(below), condition, draw(below))


@st.composite
def conditions(draw, depth=2):
    sign = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
    kind = draw(st.sampled_from([numbers, texts]))
    simple = _both(f"({{0}}) {sign} ({{1}})", draw(kind(depth=1)), draw(kind(depth=1)))
    if depth <= 0:
        return simple
    match draw(st.integers(0, 2)):
        case 0:
            return _both("(not {0})", simple)
        case 1:
            word = draw(st.sampled_from(["and", "or"]))
            return _both(f"({{0}} {word} {{1}})", simple, draw(conditions(depth=depth - 1)))
        case _:
            return simple


PYTHON = {"N": NUMBERS, "T": TEXTS, "sqrt": math.sqrt, "log10": math.log10,
          "floor": lambda x: float(math.floor(x)), "ceil": lambda x: float(math.ceil(x)),
          "min": min, "max": max, "abs": abs, "round": lambda x: round(x, 0),
          "float": float, "len": len, "__builtins__": {}}  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(numbers(), texts(), conditions()))
def test_values_are_those_of_python(pair):
    ours, python = pair
    if len(ours) > 2000:
        return
    try:
        truth = eval(python, dict(PYTHON))  # the independent truth
    except (ZeroDivisionError, OverflowError, ValueError, TypeError):
        truth = None  # of no value, or a complex number was compared
    if isinstance(truth, complex) or (isinstance(truth, float) and not math.isfinite(truth)):
        truth = None
    try:
        node = parse(ours)
    except ExpressionSyntaxError:
        return  # of a tree that is too deep; all else is tried above
    try:
        made = evaluate(node, (NUMBERS | TEXTS).get)
    except ExpressionError:
        made = None
    if made is None or truth is None:
        # What is beyond a float on the way to a value, Python carries on as inf.
        assert made is None, (ours, made)
        assert truth is None or any(big in python for big in ("**", "*", "e+")), (ours, truth)
        return
    assert made == truth or math.isclose(made, truth, rel_tol=1e-12), ours


_pieces = st.lists(
    st.one_of(
        st.sampled_from([*FUNCTIONS, "if", "else", "and", "or", "not", "true", "{A}", "{S}", "{X}",
                         "(", ")", ",", "+", "-", "*", "/", "**", "<", "==", "'", '"', "{", "}",
                         "1", "1e308", "0", "'abc'", "fact:"]),
        st.text(max_size=3),
    ),
    max_size=60,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(_pieces, st.dictionaries(st.sampled_from("ASX"), st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20),
)))  # fmt: skip
@example(["\x1f"], {})
def test_nothing_but_its_own_errors_comes_out(pieces, cards):
    try:
        node = parse(" ".join(pieces))
        kind_of(node, lambda _: "any")
        made = evaluate(node, cards.get)
    except (ExpressionSyntaxError, ExpressionError):
        return
    assert made is None or isinstance(made, str | int | float)
    if isinstance(made, float) and made not in cards.values():
        assert math.isfinite(made)


@pytest.mark.parametrize(
    "text",
    [
        "**".join(["9"] * 40),
        "replace(" * 20 + "'aaaaaaaaaa'" + ", 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')" * 20,
        "+".join(["{LONG}"] * 45),
        "coalesce(" * 45 + "{NONE}" + ", {NONE})" * 45,
        "(" * 45 + "1" + " if {NONE} > 1 or {NONE} > 2 else 1)" * 45,
        "text(" * 45 + "9e307" + ")" * 45,
    ],
)
def test_work_is_bounded(text):
    """Steps are counted, not seconds: a name is asked for as often as it stands there at most."""
    asked = []

    def look(name):
        asked.append(name)
        return {"LONG": "y" * 9000}.get(name)

    try:
        made = evaluate(parse(text), look)
    except (ExpressionError, ExpressionSyntaxError):
        made = None
    assert made is None or len(str(made)) <= 10_000
    assert len(asked) <= text.count("{")
