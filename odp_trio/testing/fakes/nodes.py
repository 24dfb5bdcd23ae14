"""Statements and expressions as trees.  Literals are places in a list: a tree serves every statement of its shape."""

from __future__ import annotations

import msgspec


class Literal(msgspec.Struct, frozen=True):
    """A literal or a ``?``; ``kind`` as in the lexer."""

    place: int
    kind: str


class Constant(msgspec.Struct, frozen=True):
    """NULL, TRUE, FALSE, DEFAULT and other words that stand for a value."""

    word: str


class Name(msgspec.Struct, frozen=True):
    """A column."""

    name: str
    table: str = ""


class Star(msgspec.Struct, frozen=True):
    """``*`` or ``t.*``."""

    table: str = ""


class UserVariable(msgspec.Struct, frozen=True):
    """``@name``."""

    name: str


class SystemVariable(msgspec.Struct, frozen=True):
    """``@@name``; ``scope`` is empty, ``session`` or ``global``."""

    name: str
    scope: str = ""


class Assign(msgspec.Struct, frozen=True):
    """``@name := value``."""

    name: str
    value: Node


class Call(msgspec.Struct, frozen=True):
    """A function or an operator, by its name in lower case."""

    name: str
    arguments: tuple[Node, ...]
    distinct: bool = False
    order: tuple[tuple[Node, bool], ...] = ()


class Case(msgspec.Struct, frozen=True):
    """CASE; ``subject`` may be missing."""

    subject: Node | None
    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node | None


class Cast(msgspec.Struct, frozen=True):
    """CAST(value AS type)."""

    value: Node
    type: str
    length: int = 0


class Subquery(msgspec.Struct, frozen=True):
    """A SELECT in brackets."""

    select: Select


Node = Literal | Constant | Name | Star | UserVariable | SystemVariable | Assign | Call | Case | Cast | Subquery


class Item(msgspec.Struct, frozen=True):
    """One expression of a select list; its text is ``sql[tokens[start]:tokens[end]]``."""

    node: Node
    start: int
    end: int
    alias: str = ""


class Source(msgspec.Struct, frozen=True):
    """A table of FROM; ``on`` is its join's condition, ``left`` an outer join."""

    database: str
    table: str
    alias: str
    on: Node | None = None
    left: bool = False
    select: Select | None = None


class Select(msgspec.Struct, frozen=True):
    """SELECT."""

    items: tuple[Item, ...]
    sources: tuple[Source, ...] = ()
    where: Node | None = None
    group: tuple[Node, ...] = ()
    having: Node | None = None
    order: tuple[tuple[Node, bool], ...] = ()
    limit: Node | None = None
    offset: Node | None = None
    lock: bool = False
    nowait: bool = False
    distinct: bool = False
    into: tuple[str, ...] = ()
    every: bool = False
    """SQL_CALC_FOUND_ROWS."""
    union: tuple[tuple[Select, bool], ...] = ()


class Insert(msgspec.Struct, frozen=True):
    """INSERT and REPLACE."""

    table: Source
    columns: tuple[str, ...]
    rows: tuple[tuple[Node, ...], ...]
    replace: bool = False
    ignore: bool = False
    update: tuple[tuple[str, Node], ...] = ()
    select: Select | None = None


class Update(msgspec.Struct, frozen=True):
    """UPDATE."""

    table: Source
    changes: tuple[tuple[str, Node], ...]
    where: Node | None
    order: tuple[tuple[Node, bool], ...] = ()
    limit: Node | None = None


class Delete(msgspec.Struct, frozen=True):
    """DELETE, and TRUNCATE without a condition."""

    table: Source
    where: Node | None = None
    order: tuple[tuple[Node, bool], ...] = ()
    limit: Node | None = None
    truncate: bool = False


class ColumnDefinition(msgspec.Struct, frozen=True):
    """One column of CREATE TABLE."""

    name: str
    type: str
    length: int = 0
    scale: int = 0
    unsigned: bool = False
    not_null: bool = False
    auto: bool = False
    default: Node | None = None
    values: tuple[int, ...] = ()


class CreateTable(msgspec.Struct, frozen=True):
    """CREATE TABLE; ``partition`` is the method's name in lower case."""

    database: str
    table: str
    columns: tuple[ColumnDefinition, ...]
    primary: tuple[str, ...]
    uniques: tuple[tuple[str, tuple[str, ...]], ...]
    exists_ok: bool = False
    like: Source | None = None
    partition: str = ""
    partition_column: str = ""
    partitions: int = 1
    bounds: tuple[int | None, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()


class Simple(msgspec.Struct, frozen=True):
    """A statement without expressions: its verb, and names."""

    verb: str
    names: tuple[str, ...] = ()
    flag: bool = False
    value: Node | None = None


class Assignment(msgspec.Struct, frozen=True):
    """One of SET's; ``scope`` is ``user``, ``session``, ``global`` or empty; a value of None is DEFAULT."""

    scope: str
    name: str
    value: Node | None


class Set(msgspec.Struct, frozen=True):
    """SET."""

    assignments: tuple[Assignment, ...]


class Show(msgspec.Struct, frozen=True):
    """SHOW; ``like`` is a pattern's place among the literals, or -1."""

    what: str
    scope: str = ""
    like: int = -1
    database: str = ""
    name: str = ""
    where: Node | None = None
    full: bool = False


Tree = Select | Insert | Update | Delete | CreateTable | Simple | Set | Show
