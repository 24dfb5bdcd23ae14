"""How each kind of statement is run, and what is answered."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from odp_trio.testing.fakes.answers import SQLError, Value, Writer
from odp_trio.testing.fakes.changes import Change, Duplicate, InsertPlan, UpdatePlan
from odp_trio.testing.fakes.compile import evaluator
from odp_trio.testing.fakes.lexer import Tokens
from odp_trio.testing.fakes.metadata import answer
from odp_trio.testing.fakes.nodes import CreateTable, Delete, Insert, Select, Set, Show, Simple, Update
from odp_trio.testing.fakes.query import SelectPlan
from odp_trio.testing.fakes.scope import Context, Scope
from odp_trio.testing.fakes.store import Row, Transaction

if TYPE_CHECKING:
    from odp_trio.testing.fakes.session import Pause, Session

Steps = Generator["Pause", None, None]


def select(session: Session, tree: Select, tokens: Tokens, writer: Writer, more: int) -> Steps:
    """SELECT: ODP's metadata queries are answered from the topology."""
    if tree.sources and (found := answer(session.cluster, tokens.sql)) is not None:
        columns, rows = found
        _show(session, writer, columns, rows, more)
        return
    context = Context(session, tokens.values)
    plan = _plan(session, tree, tokens)
    if tree.lock:
        yield from _lock_rows(session, plan, context, nowait=tree.nowait)
    status = session.status()
    found_rows = plan.run(context, session.reader())
    session.found_rows, session.row_count = plan.found if tree.every else len(found_rows), -1
    if plan.sources:
        session.note_keys(plan.sources[0], plan.keys)
        if session.transaction is None and session.autocommit:
            session.use_characteristics()
    yield from session.wait()
    session.check_interrupt()
    if tree.into:
        _into(session, tree, found_rows, writer, more)
        return
    writer.result(plan.columns, found_rows, status, more, len(session.warnings))


def _into(session: Session, tree: Select, rows: list[Row], writer: Writer, more: int) -> None:
    if len(rows) > 1:
        raise SQLError(1172, "42000", "Result consisted of more than one row")
    if rows and len(rows[0]) != len(tree.into):
        raise SQLError(1222, "21000", "The used SELECT statements have a different number of columns")
    for name, value in zip(tree.into, rows[0] if rows else (), strict=False):
        session.set_user_variable(name, value)
    writer.ok(session.status() | more, affected=len(rows))


def _plan(session: Session, tree: Select, tokens: Tokens) -> SelectPlan:
    scope = Scope(session=session, values=tokens.values)
    return SelectPlan(tree, scope, session.table, tokens)


def _show(session: Session, writer: Writer, columns: Any, rows: list[list[Value]], more: int) -> None:
    session.found_rows = len(rows)
    writer.result(columns, rows, session.status(), more)


def _lock_rows(session: Session, plan: SelectPlan, context: Context, *, nowait: bool) -> Steps:
    transaction = session.transaction
    own = transaction is None and session.autocommit
    transaction = transaction or Transaction(session.connection.wake_up)
    if not own and session.transaction is None:
        session.transaction = transaction
    try:
        yield from _locked(session, plan, context, transaction, nowait=nowait)
    finally:
        if own:
            session.store.rollback(transaction)


def _locked(session: Session, plan: SelectPlan, context: Context, transaction: Transaction, *, nowait: bool) -> Steps:
    while True:
        plan.run(context, transaction)
        locks = [(plan.sources[0].number, -1, key) for key in plan.keys]
        if session.store.lock(transaction, locks) is None:
            return
        if nowait:
            transaction.waits_for = None
            raise SQLError(1205, "HY000", "Lock wait timeout exceeded; try restarting transaction")
        yield from _wait_for_lock(session, transaction)


def _wait_for_lock(session: Session, transaction: Transaction) -> Steps:
    from odp_trio.testing.fakes.session import Pause

    limit = session.lock_deadline()
    while transaction.waits_for is not None:
        if session.now >= limit:
            transaction.waits_for = None
            raise SQLError(1205, "HY000", "Lock wait timeout exceeded; try restarting transaction")
        yield Pause(limit)
        try:
            session.check_interrupt()
        except SQLError:
            transaction.waits_for = None
            raise


def change(session: Session, tree: Insert | Update | Delete, tokens: Tokens, writer: Writer, more: int) -> Steps:
    """INSERT, REPLACE, UPDATE, DELETE."""
    table = session.table(tree.table.database, tree.table.table)
    context = Context(session, tokens.values)
    scope = Scope(session=session, values=tokens.values)
    session.row_count = -1
    if isinstance(tree, Delete) and tree.truncate:
        session.commit()
        table.truncate()
        session.tell("ob_last_schema_version", str(session.store.new_version()))
        session.row_count = 0
        writer.ok(session.status() | more)
        return
    if session.read_only:
        raise SQLError(1792, "25006", "Cannot execute statement in a READ ONLY transaction")
    own = session.transaction is None and session.autocommit
    plan = InsertPlan(tree, table, scope) if isinstance(tree, Insert) else UpdatePlan(tree, table, scope)
    transaction = session.transaction or session.begin()
    try:
        done = yield from _changed(session, plan, tree, context, transaction)
        yield from session.wait()
    except SQLError as exc:
        if own or exc.errno == 1213:
            session.rollback()
        raise
    session.note_keys(table, done.writes)
    done.apply(transaction)
    if session.store.on_write is not None:
        for row in done.writes.values():
            if row is not None:
                session.store.on_write(table, row)
    if own:
        session.commit()
    session.row_count = done.affected
    session.warnings = done.warnings
    insert_id = _note_insert_id(session, done)
    writer.ok(
        session.status() | more,
        affected=done.affected,
        insert_id=insert_id,
        warnings=0 if done.info == "" else len(done.warnings),
        info=done.info,
    )


def _note_insert_id(session: Session, done: Change) -> int:
    if done.generated:
        session.insert_id = done.insert_id
        session.tell("last_insert_id", str(done.insert_id))
        session.tell("identity", str(done.insert_id))
    return done.insert_id


def _changed(
    session: Session,
    plan: InsertPlan | UpdatePlan,
    tree: Insert | Update | Delete,
    context: Context,
    transaction: Transaction,
) -> Generator[Pause, None, Change]:
    """Work a change out until every lock it needs is had."""
    while True:
        refused: Duplicate | None = None
        try:
            if isinstance(plan, InsertPlan):
                selected = tree.select if isinstance(tree, Insert) else None
                rows = None if selected is None else session.subquery(selected, context.values)
                done = plan.work_out(context, transaction, rows)
            else:
                done = plan.work_out(context, transaction)
            locks = done.locks
        except Duplicate as exc:
            refused, locks = exc, exc.locks
        if session.store.lock(transaction, locks) is None:
            if refused is not None:
                raise refused
            return done
        yield from _wait_for_lock(session, transaction)


def set_variables(session: Session, tree: Set, tokens: Tokens, writer: Writer, more: int) -> Steps:
    """SET."""
    from odp_trio.testing.fakes.setting import assign

    context = Context(session, tokens.values)
    scope = Scope(session=session, values=tokens.values)
    found = [(each, None if each.value is None else evaluator(each.value, scope)(context)) for each in tree.assignments]
    for each, value in found:
        assign(session, each, value)
    session.row_count = 0
    writer.ok(session.status() | more)
    yield from ()


def simple(session: Session, tree: Simple, tokens: Tokens, writer: Writer, more: int) -> Steps:
    """Statements of a verb and names."""
    from odp_trio.testing.fakes.verbs import run

    yield from run(session, tree, tokens, writer, more)


def create_table(session: Session, tree: CreateTable, tokens: Tokens, writer: Writer, more: int) -> Steps:
    """CREATE TABLE."""
    from odp_trio.testing.fakes.verbs import create

    create(session, tree, tokens)
    writer.ok(session.status() | more)
    yield from ()


def show(session: Session, tree: Show, tokens: Tokens, writer: Writer, more: int) -> Steps:
    """SHOW."""
    from odp_trio.testing.fakes.shows import rows_of

    columns, rows = rows_of(session, tree, tokens)
    session.row_count = -1
    session.tell("_current_default_catalog", "0")
    _show(session, writer, columns, rows, more)
    yield from ()


RUNNERS: Final[dict[type, Callable[..., Steps]]] = {
    Select: select,
    Insert: change,
    Update: change,
    Delete: change,
    Set: set_variables,
    Simple: simple,
    CreateTable: create_table,
    Show: show,
}
