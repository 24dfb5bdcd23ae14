"""Kinds of statements by their first words, and the marks that words anywhere in a statement leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from odp_trio.sql.facts import Kill, Kind, Literal, Parameter, TableRef, TransactionEffect, UserVariable
from odp_trio.sql.lexer import Word, unquoted

Found = tuple[Kind, int, dict[str, Any]]
"""The kind, where the statement itself begins (behind EXPLAIN), further facts."""


def _table(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DML: Final = {
    "SELECT": Kind.SELECT, "WITH": Kind.SELECT, "VALUES": Kind.SELECT, "TABLE": Kind.SELECT, "INSERT": Kind.INSERT,
    "REPLACE": Kind.REPLACE, "UPDATE": Kind.UPDATE, "DELETE": Kind.DELETE, "MERGE": Kind.MERGE,
}  # fmt: skip
_DDL: Final = _table("CREATE DROP ALTER TRUNCATE RENAME GRANT REVOKE ANALYZE PURGE FLASHBACK COMMENT AUDIT NOAUDIT")
_SIMPLE: Final = {
    "USE": Kind.USE, "HELP": Kind.HELP, "KILL": Kind.KILL, "LOCK": Kind.LOCK, "UNLOCK": Kind.UNLOCK,
    "COMMIT": Kind.COMMIT, "SAVEPOINT": Kind.SAVEPOINT, "RELEASE": Kind.SAVEPOINT, "SHOW": Kind.SHOW,
    "CALL": Kind.CALL, "DECLARE": Kind.BLOCK, "SET": Kind.SET,
}  # fmt: skip
_OTHERS: Final = _table(
    "DO HANDLER OPTIMIZE CHECKSUM CHECK REPAIR FLUSH RESET CACHE BINLOG INSTALL UNINSTALL SHUTDOWN STOP RETRY"
)
_ROUTINES: Final = frozenset({"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE", "TYPE"})
_LOCKS: Final = frozenset({"GET_LOCK", "IS_FREE_LOCK", "IS_USED_LOCK", "RELEASE_LOCK", "RELEASE_ALL_LOCKS"})
_LAST: Final = frozenset({"ROW_COUNT", "FOUND_ROWS", "CONNECTION_ID", "SYS_CONTEXT"})
_OF_THE_PROXY: Final = frozenset({"PROXY_VERSION", "PROXY_STATUS"})
_EXPLAIN_OPTIONS: Final = _table(
    "BASIC OUTLINE EXTENDED EXTENDED_NOADDR PARTITIONS PLANREGRESS ALL PRETTY PRETTY_COLOR FORMAT ANALYZE"
)


def kind_of(statement: Sequence[Word]) -> Found:
    """Return what kind of statement this is."""
    at = 0
    while at < len(statement) and statement[at].text == "(":
        at += 1
    if at >= len(statement):
        return Kind.UNKNOWN, 0, {"why": "there are no words"}
    word = statement[at]
    return _known(statement, word, nested=at > 0)


def _known(statement: Sequence[Word], word: Word, *, nested: bool) -> Found:
    upper = word.upper
    if nested and upper not in ("SELECT", "WITH", "VALUES", "TABLE"):
        return Kind.UNKNOWN, 0, {"why": f"{word.text[:40]!r} begins no statement that is known"}
    if _is_internal(statement, upper, _upper(statement, 1)):
        return Kind.OTHER, 0, {"internal": True, "for_task": True}
    if upper == "WITH":
        return _behind_with(statement), 0, {}
    if upper in _DML:
        return _DML[upper], 0, {}
    if upper == "LOAD":
        return (Kind.LOAD_DATA, 0, {}) if _upper(statement, 1) in ("DATA", "XML") else (Kind.OTHER, 0, {})
    if upper in ("EXPLAIN", "DESC", "DESCRIBE"):
        return _explain(statement)
    for rule in (_transaction, _prepared):
        found = rule(statement, upper)
        if found is not None:
            return found
    if upper in _DDL:
        return Kind.DDL, 0, _ddl(statement)
    if upper in _SIMPLE:
        return _SIMPLE[upper], 0, _simple(statement, upper)
    if upper in _OTHERS:
        return Kind.OTHER, 0, {}
    return Kind.UNKNOWN, 0, {"why": f"{word.text[:40]!r} begins no statement that is known"}


def _is_internal(statement: Sequence[Word], first: str, second: str) -> bool:
    """Whether a statement begins like a command for the proxy itself."""
    match first:
        case "SELECT":
            return second in _OF_THE_PROXY and _is_alone(statement)
        case "SHOW":
            return second.startswith("PROXY") or second in ("WARNLOG", "SQLAUDIT", "GLOBALSESSION")
        case "ALTER":
            return second in ("PROXY", "PROXYCONFIG", "PROXYRESOURCE")
        case "KILL":
            return second in ("PROXYSESSION", "GLOBALSESSION")
        case "PING":
            return second == "PROXY"
        case _:
            return False


def _is_alone(statement: Sequence[Word]) -> bool:
    """Whether a SELECT has one function without arguments and nothing else, but for an alias."""
    alias = statement[5 if _upper(statement, 4) == "AS" else 4 :]
    named = not alias or (len(alias) == 1 and alias[0].kind in ("NAME", "QUOTED", "SLOT"))
    return named and [word.text for word in statement[2:4]] == ["(", ")"]


def _upper(statement: Sequence[Word], at: int) -> str:
    return statement[at].upper if 0 <= at < len(statement) else ""


def _behind_with(statement: Sequence[Word]) -> Kind:
    """WITH stands before SELECT, UPDATE or DELETE: the first of them outside parentheses."""
    depth = 0
    for word in statement:
        if word.kind == "MARK":
            depth += (word.text == "(") - (word.text == ")")
        elif not depth and word.upper in ("SELECT", "UPDATE", "DELETE", "INSERT", "REPLACE", "VALUES", "TABLE"):
            return _DML[word.upper]
    return Kind.SELECT


def has_a_body(kind: Kind, first: Sequence[Word]) -> bool:
    """Whether semicolons are inside of one statement: in blocks, in what CREATE PROCEDURE and its like make."""
    if kind is not Kind.DDL:
        return kind is Kind.BLOCK
    uppers = [word.upper for word in first]
    return (
        uppers[0] == "CREATE" and not _ROUTINES.isdisjoint(uppers[1:7]) and not {"BEGIN", "AS", "IS"}.isdisjoint(uppers)
    )


def _explain(statement: Sequence[Word]) -> Found:
    at = 1
    if _upper(statement, 0) == "EXPLAIN" and _upper(statement, 1) == "ROUTE":
        if _upper(statement, 2) == "EXPLAIN" and _upper(statement, 3) == "ROUTE":
            return Kind.UNKNOWN, 0, {"why": "EXPLAIN ROUTE explains no EXPLAIN ROUTE"}
        kind, start, more = kind_of(statement[2:])
        return kind, start + 2, more | {"explain_route": True, "for_task": True}
    while _upper(statement, at) in _EXPLAIN_OPTIONS:
        at += 1
        if at < len(statement) and statement[at].text == "=":
            at += 2
    if at < len(statement) and (statement[at].upper in _DML or statement[at].text == "("):
        kind, start, more = kind_of(statement[at:])
        return kind, at + start, more | {"explain": True}
    table = table_at(statement, at) if _upper(statement, at) != "FOR" else None
    return Kind.DESCRIBE, 0, {"tables": (table,) if table is not None else ()}


def table_at(statement: Sequence[Word], at: int) -> TableRef | None:
    """Return the table named from a place on."""
    names: list[str] = []
    quoted = False
    while at < len(statement) and statement[at].kind in ("NAME", "QUOTED"):
        word = statement[at]
        quoted = word.kind == "QUOTED"
        names.append(unquoted(word))
        if at + 1 >= len(statement) or statement[at + 1].text != ".":
            break
        at += 2
    if not names:
        return None
    return TableRef(names[-1], names[-2] if len(names) > 1 else None, quoted=quoted)


def _ddl(statement: Sequence[Word]) -> dict[str, Any]:
    first = _upper(statement, 0)
    temporary = first == "CREATE" and any(
        _upper(statement, at) == "TEMPORARY" and _upper(statement, at + 1) == "TABLE" for at in (1, 2, 3)
    )
    return {"transaction": TransactionEffect.IMPLICIT_COMMIT, "makes_temporary": temporary}


def _transaction(statement: Sequence[Word], upper: str) -> Found | None:
    second = _upper(statement, 1)
    match upper:
        case "BEGIN" if len(statement) == 1 or second == "WORK":
            return Kind.BEGIN, 0, {"transaction": TransactionEffect.BEGIN, "deferrable": len(statement) <= 2}
        case "BEGIN":
            return Kind.BLOCK, 0, {}
        case "START" if second == "TRANSACTION":
            # A consistent snapshot is taken when it is executed: that may not be later.
            options = [word.upper for word in statement[2:]]
            deferrable = options in ([], ["READ", "ONLY"], ["READ", "WRITE"])
            return Kind.BEGIN, 0, {"transaction": TransactionEffect.BEGIN, "deferrable": deferrable}
        case "COMMIT":
            return Kind.COMMIT, 0, {"transaction": TransactionEffect.END}
        case "ROLLBACK":
            inside = "TO" in (second, _upper(statement, 2))
            if inside:
                return Kind.SAVEPOINT, 0, {"transaction": TransactionEffect.INSIDE}
            return Kind.ROLLBACK, 0, {"transaction": TransactionEffect.END}
        case "XA":
            effects = {
                "START": TransactionEffect.BEGIN, "BEGIN": TransactionEffect.BEGIN, "COMMIT": TransactionEffect.END,
                "ROLLBACK": TransactionEffect.END, "END": TransactionEffect.INSIDE, "PREPARE": TransactionEffect.INSIDE,
            }  # fmt: skip
            return Kind.XA, 0, {"transaction": effects.get(second, TransactionEffect.NONE)}
        case _:
            return None


def _prepared(statement: Sequence[Word], upper: str) -> Found | None:
    if upper == "PREPARE":
        source = statement[3] if len(statement) > 3 and _upper(statement, 2) == "FROM" else None
        text: Literal | UserVariable | None = None
        if source is not None and source.kind == "SLOT":
            text = Literal(source.slot)
        elif source is not None and source.kind == "VARIABLE":
            text = UserVariable(source.text[1:].strip("`'\"").lower())
        return Kind.PREPARE, 0, {"prepared": _name(statement, 1), "prepared_text": text}
    if upper == "EXECUTE":
        using = tuple(word.text[1:].strip("`'\"").lower() for word in statement[2:] if word.kind == "VARIABLE")
        return Kind.EXECUTE, 0, {"prepared": _name(statement, 1), "using": using}
    if upper == "DEALLOCATE" or (upper == "DROP" and _upper(statement, 1) == "PREPARE"):
        return Kind.DEALLOCATE, 0, {"prepared": _name(statement, 2)}
    return None


def _name(statement: Sequence[Word], at: int) -> str | None:
    if at >= len(statement):
        return None
    word = statement[at]
    return unquoted(word).upper()


def _simple(statement: Sequence[Word], upper: str) -> dict[str, Any]:
    match upper:
        case "SET":
            return {"sets": _assigned(statement)}
        case "USE":
            table = table_at(statement, 1)
            return {"database": table.name if table is not None else None}
        case "SHOW":
            return _show(statement)
        case "KILL":
            return _kill(statement)
        case "LOCK":
            return {"transaction": TransactionEffect.IMPLICIT_COMMIT}
        case "SAVEPOINT" | "RELEASE":
            return {"transaction": TransactionEffect.INSIDE}
        case _:
            return {}


def _show(statement: Sequence[Word]) -> dict[str, Any]:
    uppers = [word.upper for word in statement]
    second = _upper(statement, 1)
    if second == "PROCESSLIST" and len(statement) == 2:
        return {"process_list": True, "for_task": True}
    if second in ("WARNINGS", "ERRORS", "TRACE") or "COUNT" in uppers[:3]:
        return {"binds_last": (f"show {(second or uppers[-1]).lower()}",)}
    if second == "CREATE" and _upper(statement, 2) == "TABLE":
        table = table_at(statement, 3)
        return {"tables": (table,) if table is not None else ()}
    if any(word in ("COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS") for word in uppers[1:4]):
        at = next((at for at, word in enumerate(uppers) if word in ("FROM", "IN")), len(uppers))
        table = table_at(statement, at + 1)
        if table is not None and table.database is None and _upper(statement, at + 2) in ("FROM", "IN"):
            other = table_at(statement, at + 3)
            table = TableRef(table.name, other.name if other is not None else None)
        return {"tables": (table,) if table is not None else ()}
    return {}


def _kill(statement: Sequence[Word]) -> dict[str, Any]:
    word = _upper(statement, 1)
    target = statement[2:] if word in ("QUERY", "CONNECTION") else statement[1:]
    if len(target) != 1 or target[0].slot < 0:
        return {}
    at = target[0].slot
    return {"kill": Kill(Literal(at) if target[0].kind == "SLOT" else Parameter(at), word == "QUERY"), "for_task": True}


def _assigned(statement: Sequence[Word]) -> tuple[str, ...]:
    """Return the names that SET assigns: what stands before ``=`` or ``:=``, outside parentheses."""
    second = _upper(statement, 1)
    if "TRANSACTION" in (second, _upper(statement, 2)):
        return ("transaction",)
    if second == "PASSWORD":
        return ("password",)
    found: list[str] = []
    scope, depth = "", 0
    for at, word in enumerate(statement[1:], 1):
        if word.kind == "MARK":
            depth += (word.text == "(") - (word.text == ")")
            if word.text in ("=", ":=") and not depth and at > 1:
                found.append(_variable(statement[at - 1], scope))
                scope = ""
        elif word.upper in ("NAMES", "CHARSET", "CHARACTER") and not depth and _begins_item(statement, at):
            found.append("names")
        elif word.upper in ("GLOBAL", "SESSION", "LOCAL", "PERSIST") and word.kind == "NAME":
            scope = "global." if word.upper in ("GLOBAL", "PERSIST") else ""
    return tuple(found)


def _begins_item(statement: Sequence[Word], at: int) -> bool:
    """Whether an assignment of SET begins here, which is none by its looks: ``NAMES utf8mb4``."""
    following = statement[at + 1].text if at + 1 < len(statement) else ""
    return (at == 1 or statement[at - 1].text == ",") and following not in ("=", ":=")


def _variable(word: Word, scope: str) -> str:
    text = word.text.lower()
    if text.startswith("@@"):
        text = text[2:].removeprefix("session.").removeprefix("local.")
        return text.strip("`")
    if text.startswith("@"):
        return "@" + text[1:].strip("`'\"")
    return scope + text.strip("`")


def marks(every: Sequence[Word]) -> dict[str, Any]:
    """Return what words anywhere say: functions that bind to a server, locking clauses."""
    binds: dict[str, None] = {}
    found: dict[str, Any] = {}
    for at, word in enumerate(every):
        if word.kind == "VARIABLE":
            text = word.text.lower()
            if text in ("@@last_insert_id", "@@identity"):
                found["uses_last_insert_id"] = True
            elif text in ("@@warning_count", "@@error_count"):
                binds[text[2:]] = None
        elif word.kind == "NAME":
            upper = word.upper
            if at + 1 < len(every) and every[at + 1].text == "(":
                if upper in _LAST:
                    binds[upper.lower()] = None
                elif upper == "LAST_INSERT_ID":
                    found["uses_last_insert_id"] = True
                elif upper in _LOCKS:
                    found["table_locks"] = True
            if _is_locking(every, at, upper):
                found["locking"] = True
    if binds:
        found["binds_last"] = tuple(binds)
    return found


def _is_locking(every: Sequence[Word], at: int, upper: str) -> bool:
    if upper == "FOR":
        return _upper(every, at + 1) in ("UPDATE", "SHARE") and at > 0
    return upper == "LOCK" and [_upper(every, at + ahead) for ahead in (1, 2, 3)] == ["IN", "SHARE", "MODE"]
