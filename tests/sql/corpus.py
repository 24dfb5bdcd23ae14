"""The corpus: statements, and what is to be known of each; its notation.

A statement stands at the beginning of a line, its facts on the next line, indented:

    select * from t1 x where a = 5 and b in (1, 2) for update
        select t1 x | a = 5; b in 1, 2 [locking]

First the kind, then the tables (``db.name@link:PARTITION alias``, back quotes where it was quoted), for INSERT
its columns in parentheses; behind ``|`` the alternatives, parted by ``or``, each a list of conditions.
``everything`` is never written: no ``|``, nothing is known.  Literals stand as in the text, placeholders as
``?0``, an unknown value as ``...``, a column by position as ``#0``.  In brackets stands whatever else is known.

``= gbk`` changes the dialect of what follows; ``! `` before a statement says that it has escapes of Python;
``## `` begins a remark.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence

import msgspec

from odp_trio.sql import lexer
from odp_trio.sql.facts import (
    DML,
    EVERYTHING,
    Boolean,
    Call,
    Condition,
    Consistency,
    Default,
    Literal,
    Null,
    Operand,
    Operator,
    Parameter,
    StatementFacts,
    TableRef,
    TransactionEffect,
    UserVariable,
)
from tests.paths import DATA

DIALECTS = {
    "mysql": lexer.MYSQL,
    "ansi": lexer.ANSI_QUOTES,
    "no backslashes": lexer.NO_BACKSLASHES,
    "gbk": lexer.MULTIBYTE,
    "oracle": lexer.ORACLE | lexer.NO_BACKSLASHES,
}
_EFFECTS = {
    TransactionEffect.BEGIN: "begins",
    TransactionEffect.END: "ends",
    TransactionEffect.INSIDE: "inside",
    TransactionEffect.IMPLICIT_COMMIT: "commits",
}


class Case(msgspec.Struct, frozen=True):
    """One statement of the corpus."""

    line: int
    text: str
    sql: bytes
    dialect: int
    expected: str


def read_corpus() -> Iterator[Case]:
    """Return the cases in their order."""
    dialect = lexer.MYSQL
    before: tuple[int, str] | None = None
    for number, line in enumerate((DATA / "sql" / "corpus.txt").read_text("utf-8").splitlines(), 1):
        if line.startswith("## ") or (not line.strip() and before is None):
            continue
        if line.startswith("= "):
            dialect = DIALECTS[line[2:]]
        elif before is None:
            before = number, line
        else:
            assert line.startswith("    "), f"line {number}: facts are indented"
            text = before[1]
            sql = codecs.decode(text[2:], "unicode_escape").encode("latin-1") if text[:2] == "! " else text.encode()
            yield Case(before[0], text, sql, dialect, line.strip())
            before = None


def parted(facts: str) -> tuple[str, frozenset[str]]:
    """Part a line of facts into its head and its marks, whose order means nothing."""
    if not facts.endswith("]"):
        return facts, frozenset()
    head, _, marks = facts[:-1].rpartition(" [")
    return head, frozenset(marks.split("; "))


def told(facts: StatementFacts, literals: Sequence[bytes]) -> str:
    """Write facts in the corpus' notation."""
    head = facts.kind.value
    if facts.tables:
        head += " " + ", ".join(map(_table, facts.tables))
    if facts.insert_columns is not None:
        head += f" ({', '.join(facts.insert_columns)})"
    if facts.alternatives != EVERYTHING:
        head += " | " + " or ".join(
            "; ".join(_condition(condition, literals) for condition in alternative)
            for alternative in facts.alternatives
        )
    marks = _marks(facts, literals)
    return f"{head} [{'; '.join(marks)}]" if marks else head


def _table(table: TableRef) -> str:
    name = f"`{table.name}`" if table.quoted else table.name
    text = f"{table.database}.{name}" if table.database is not None else name
    text += f"@{table.dblink}" if table.dblink is not None else ""
    text += f":{table.partition}" if table.partition is not None else ""
    return f"{text} {table.alias}" if table.alias is not None else text


def _condition(condition: Condition, literals: Sequence[bytes]) -> str:
    column = f"#{condition.column}" if isinstance(condition.column, int) else condition.column
    operands = ", ".join(_operand(operand, literals) for operand in condition.operands)
    operator = "in" if condition.operator is Operator.IN else condition.operator.value
    return f"{column} {operator} {operands}"


def _operand(operand: Operand, literals: Sequence[bytes]) -> str:
    match operand:
        case Literal(slot=slot, negative=negative, prefix=prefix):
            text = literals[slot].decode("utf-8", "backslashreplace")
            return ("-" if negative else "") + (f"{prefix} " if prefix else "") + text
        case Null():
            return "NULL"
        case Boolean(value=value):
            return str(value).upper()
        case Parameter(index=index, negative=negative):
            return ("-" if negative else "") + f"?{index}"
        case UserVariable(name=name):
            return f"@{name}"
        case Default():
            return "DEFAULT"
        case Call(name=name, arguments=arguments):
            return f"{name}({', '.join(_operand(argument, literals) for argument in arguments)})"
        case _:
            return "..."


def _marks(facts: StatementFacts, literals: Sequence[bytes]) -> list[str]:
    flags = {
        "words": facts.kind in DML and facts.by == "lexer",
        "cut": facts.rows_cut,
        "locking": facts.locking,
        "explain": facts.explain,
        "route": facts.explain_route,
        "last_insert_id": facts.uses_last_insert_id,
        "table locks": facts.table_locks,
        "temporary": facts.makes_temporary,
        "comment": facts.leading_comment == 0,
    }
    marks = [name for name, there in flags.items() if there]
    if facts.transaction is not TransactionEffect.NONE:
        marks.append(_EFFECTS[facts.transaction])
    if isinstance(facts.consistency, Consistency):
        marks.append(facts.consistency.value)
    values = {
        "timeout": facts.query_timeout_us,
        "statements": facts.statements if facts.statements > 1 else None,
        "parameters": facts.parameters or None,
        "last": ", ".join(facts.binds_last) or None,
        "sets": ", ".join(facts.sets) or None,
        "prepared": facts.prepared,
        "from": _operand(facts.prepared_text, literals) if facts.prepared_text is not None else None,
        "using": ", ".join(facts.using) or None,
        "database": facts.database,
    }
    marks += [f"{name} {value}" for name, value in values.items() if value is not None]
    return marks + [f"{'ignored' if hint.ignored else 'hint'} {hint.text}" for hint in facts.hints]
