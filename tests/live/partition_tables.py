"""Tables over all kinds of partitioning and types of keys, and random literals for their columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from odp_trio.sql.facts import Condition, Null, Operand, Operator
from tests.routing.partition_statements import Texts

Maker = Callable[[Random], str]
"""Makes the text of a literal."""


@dataclass(frozen=True)
class Table:
    """One table: columns with their makers, and how it is partitioned."""

    kind: str
    columns: tuple[tuple[str, str, Maker], ...]
    by: str

    def ddl(self, name: str) -> str:
        listed = ", ".join(f"{column} {kind}" for column, kind, _ in self.columns)
        return f"create table {name} (id int, {listed}) partition by {self.by}"


# ---- literals -----------------------------------------------------------------------------


def whole(low: int, high: int, near: int = 60) -> Maker:
    """Whole numbers in many spellings; most of them small, some at the ends."""

    def make(rng: Random) -> str:
        number = rng.choice((rng.randint(max(low, -near), min(high, near)), rng.randint(low, high), low, high, 0))
        spelling = rng.randrange(20)
        if spelling < 11:
            return str(number)
        if spelling < 14:
            return f"'{number}'"
        if spelling == 14:
            return f"{number}.0"
        if spelling == 15:
            return f"' {number} '"
        if spelling == 16 and abs(number) < 1 << 50:
            return f"{number}e0"
        if spelling == 17 and number >= 0:
            return f"0x{number:x}".replace("0x", "0x0" if len(f"{number:x}") % 2 else "0x")
        if spelling == 18 and number >= 0:
            return f"b'{number:b}'"
        return f"{number}"

    return make


def decimal(digits: int, scale: int) -> Maker:
    def make(rng: Random) -> str:
        size = rng.randrange(10 ** rng.randint(1, digits))
        text = f"{size // 10**scale}.{size % 10**scale:0{scale}d}" if scale else str(size)
        text = rng.choice(("", "", "-")) + text
        return rng.choice((text, text, f"'{text}'", text.split(".", maxsplit=1)[0], text + ("0" if scale else "")))

    return make


def floating(rng: Random) -> str:
    number = rng.choice((rng.randint(-1000, 1000), rng.randint(-1000, 1000) / 8, rng.randint(-(10**9), 10**9) / 2**20))
    text = rng.choice((repr(number), f"{number:e}", f"'{number}'"))
    return text


def double(rng: Random) -> str:
    number = rng.choice(
        (rng.uniform(-1000, 1000), rng.uniform(-1, 1) * 10 ** rng.randint(-20, 20), rng.randint(-99, 99))
    )
    return rng.choice((repr(number), f"'{number!r}'"))


_LETTERS: Final = "abcdefgXYZ0189 -_.éßüñçÀøæþ中文数据库字日本語かなカナжцяЖΩλ…€"


def text(longest: int, alphabet: str = _LETTERS) -> Maker:
    def make(rng: Random) -> str:
        length = rng.choice((0, 1, 2, 3, rng.randint(0, longest)))
        made = "".join(rng.choice(alphabet) for _ in range(length)) + rng.choice(("", "", "", "  "))
        return "'" + made[:longest] + "'"

    return make


def binary(longest: int) -> Maker:
    def make(rng: Random) -> str:
        made = bytes(rng.randrange(256) for _ in range(rng.randint(1, longest)))  # the kernel reads x'' in IN as text
        if rng.randrange(3) == 0:
            return "'" + "".join(rng.choice("abcXYZ 01") for _ in made) + "'"
        return f"x'{made.hex()}'"

    return make


def _moment(rng: Random, low: int, high: int) -> dt.datetime:
    start = dt.datetime(low, 1, 1)
    return start + dt.timedelta(seconds=rng.randrange(int((dt.datetime(high, 12, 31) - start).total_seconds())))


def date(rng: Random) -> str:
    day = _moment(rng, *rng.choice(((1990, 2030), (1900, 2100), (1000, 9998)))).date()
    plain = day.isoformat()
    spellings = [f"'{plain}'", f"'{plain}'", f"date'{plain}'", plain.replace("-", ""), f"'{plain.replace('-', '')}'"]
    spellings += [f"'{day.year}-{day.month}-{day.day}'", f"'{plain.replace('-', '/')}'", f"'{plain} 00:00:00'"]
    spellings += [f"timestamp'{plain} 00:00:00'", f"'{plain.replace('-', '.')}'"]
    if 1970 <= day.year < 2070:
        spellings += [f"'{plain[2:]}'", f"'{plain[2:].replace('-', '')}'", plain[2:].replace("-", "").lstrip("0")]
    return rng.choice([spelling for spelling in spellings if len(spelling.strip("'")) > 4])


def datetime(low: int = 1000, high: int = 9998, digits: int = 0) -> Maker:
    def make(rng: Random) -> str:
        moment = _moment(rng, *rng.choice(((max(low, 1990), min(high, 2030)), (low, high))))
        if rng.randrange(4) == 0:
            moment = moment.replace(hour=0, minute=0, second=0)
        plain = moment.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
        if digits and rng.randrange(2):
            fraction = f".{rng.randrange(10**digits):0{digits}d}"
            return rng.choice((f"'{plain}{fraction}'", f"timestamp'{plain}{fraction}'"))
        packed = "".join(character for character in plain if character.isdigit())
        spellings = [f"'{plain}'", f"'{plain}'", f"timestamp'{plain}'", packed, f"'{packed}'"]
        spellings += [f"'{plain.replace(' ', 'T')}'", f"'{plain.replace('-', '/')}'"]
        if moment.second == 0:
            spellings += [f"'{plain[:16]}'"]
        if plain.endswith("00:00:00"):
            spellings += [f"'{plain[:10]}'", f"date'{plain[:10]}'", packed[:8]]
        return rng.choice(spellings)

    return make


def time(rng: Random) -> str:
    hours, minutes, seconds = rng.choice((rng.randrange(24), rng.randrange(838))), rng.randrange(60), rng.randrange(60)
    sign = rng.choice(("", "", "-"))
    plain = f"{hours:02d}:{minutes:02d}:{seconds:02d}"
    spellings = [f"'{sign}{plain}'", f"time'{sign}{plain}'", f"'{sign}{hours}:{minutes}:{seconds}'"]
    if hours < 100:
        spellings += [f"{sign}{int(plain.replace(':', ''))}", f"'{sign}{plain.replace(':', '')}'"]
    if hours > 24:
        spellings += [f"'{sign}{hours // 24} {hours % 24:02d}:{minutes:02d}:{seconds:02d}'"]
    return rng.choice(spellings)


def year(rng: Random) -> str:
    number = rng.choice((rng.randint(1901, 2155), rng.randint(1, 99), 0))
    return rng.choice((str(number), f"'{number}'"))


INT: Final = whole(-(1 << 31), (1 << 31) - 1)


# ---- conditions ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """A WHERE clause, its conditions in disjunctive form, its literals, and whether it is one of points only."""

    where: str
    alternatives: tuple[tuple[Condition, ...], ...]
    literals: tuple[bytes, ...]
    points: bool


def _operand(read: Texts, written: str) -> Operand:
    return read.operand(written)


def condition(rng: Random, table: Table) -> Question:
    """Make conditions on all columns of a table, or on some of them."""
    read = Texts()
    clauses: list[str] = []
    choices: list[list[list[Condition]]] = []
    points = True
    for name, _, make in table.columns:
        if len(table.columns) > 1 and rng.randrange(8) == 0:
            points = False
            continue
        clause, disjuncts, is_points = _on_column(rng, name, make, read)
        clauses.append(clause)
        choices.append(disjuncts)
        points = points and is_points
    if not clauses:
        return condition(rng, table)
    alternatives: list[list[Condition]] = [[]]
    for disjuncts in choices:
        alternatives = [[*left, *right] for left in alternatives for right in disjuncts]
    return Question(" and ".join(clauses), tuple(tuple(one) for one in alternatives), tuple(read.literals), points)


def _on_column(rng: Random, name: str, make: Maker, read: Texts) -> tuple[str, list[list[Condition]], bool]:
    shape = rng.randrange(24)
    if shape == 0:
        return f"{name} is null", [[Condition(name, Operator.NULL_SAFE_EQ, (Null(),))]], True
    first = make(rng)
    if shape == 1:
        return f"{name} <=> {first}", [[Condition(name, Operator.NULL_SAFE_EQ, (_operand(read, first),))]], True
    if shape in (2, 3):
        texts = [first, *(make(rng) for _ in range(rng.randrange(3)))]
        operands = tuple(_operand(read, one) for one in texts)
        return f"{name} in ({', '.join(texts)})", [[Condition(name, Operator.IN, operands)]], True
    if shape == 4:
        second = make(rng)
        both = [[Condition(name, Operator.EQ, (_operand(read, one),))] for one in (first, second)]
        return f"({name} = {first} or {name} = {second})", both, True
    if shape == 5:
        second = make(rng)
        ends = [(Operator.GE, first), (Operator.LE, second)]
        both = [[Condition(name, operator, (_operand(read, one),)) for operator, one in ends]]
        return f"{name} between {first} and {second}", both, False
    if shape in (6, 7):
        operator = rng.choice((Operator.LT, Operator.LE, Operator.GT, Operator.GE))
        return f"{name} {operator.value} {first}", [[Condition(name, operator, (_operand(read, first),))]], False
    return f"{name} = {first}", [[Condition(name, Operator.EQ, (_operand(read, first),))]], True
