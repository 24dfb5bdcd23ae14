"""SQLAlchemy and Alembic: a model with relations is migrated, written, read and changed, over PyMySQL."""

from __future__ import annotations

import datetime as dt
import socket
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import autogenerate, command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import exc, orm, select
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.orm import Session, joinedload, selectinload, subqueryload

from tests.live.drivers import canonical
from tests.live.drivers.orm.models import (
    Base,
    CardPayment,
    CashPayment,
    Category,
    Customer,
    Event,
    Line,
    Order,
    Payment,
    Product,
    Status,
    Tag,
)
from tests.live.drivers.script import Driver, Target, play_own, say

WHEN = dt.datetime(2024, 5, 6, 7, 8, 9, 123456)


class SQLAlchemy(Driver):
    """SQLAlchemy."""

    def error(self, exc: BaseException) -> list[Any]:
        """Return the driver's errno and message."""
        return super().error(getattr(exc, "orig", None) or exc)


class Shop:
    """The engine, and what the program has sent."""

    def __init__(self, target: Target, **options: Any) -> None:
        url = sa.URL.create(
            "mysql+pymysql", target.user, target.password, target.host, target.port, target.database,
            {"charset": "utf8mb4"},
        )  # fmt: skip
        # The greeting says that autocommit is off, and PyMySQL believes it: it must be switched off by a statement.
        self.engine = sa.create_engine(url, connect_args={"init_command": "set autocommit = 0"}, **options)
        self.sent: list[str] = []
        sa.event.listen(self.engine, "before_cursor_execute", self._note)

    def _note(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        self.sent.append(statement.split()[0].upper())

    def migrate(self, to: str, *, down: bool = False) -> Any:
        """Run migrations; return the version and the tables."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "orm" / "migrations"))
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            (command.downgrade if down else command.upgrade)(config, to)
            version = MigrationContext.configure(connection).get_current_revision()
        return version, sorted(sa.inspect(self.engine).get_table_names())


SHOP: Shop


def session(**options: Any) -> Session:
    """Open a session on the shop."""
    return Session(SHOP.engine, **options)


# ---- migrations -------------------------------------------------------------------------


def check_first_migration(target: Target) -> Any:
    """migrations: the first tables."""
    return SHOP.migrate("one")


def check_data_before(target: Target) -> Any:
    """migrations: rows in the old tables."""
    with SHOP.engine.begin() as connection:
        done = connection.execute(
            sa.text("insert into customer (name, status, version) values (:n, 'NEW', 1)"),
            [{"n": "Old One"}, {"n": "Old Two"}],
        )
        return done.rowcount


def check_data_migration(target: Target) -> Any:
    """migrations: a column is added and filled."""
    seen = SHOP.migrate("two")
    with SHOP.engine.connect() as connection:
        return seen, canonical.rows(connection.execute(sa.text("select name, nickname from customer order by name")))


def check_alter(target: Target) -> Any:
    """migrations: a column renamed, one widened, an index made."""
    seen = SHOP.migrate("three")
    inspector = sa.inspect(SHOP.engine)
    return seen, [(c["name"], str(c["type"])) for c in inspector.get_columns("orders")]


def check_down_and_up(target: Target) -> Any:
    """migrations: one down and up again."""
    return SHOP.migrate("two", down=True), SHOP.migrate("three")


def check_head(target: Target) -> Any:
    """migrations: the rest, with partitions."""
    return SHOP.migrate("head")


def check_reflection(target: Target) -> Any:
    """reflection: keys, indexes, foreign keys, unique constraints."""
    inspector = sa.inspect(SHOP.engine)
    return [
        inspector.get_pk_constraint("line")["constrained_columns"],
        sorted((i["name"], i["column_names"], i["unique"]) for i in inspector.get_indexes("orders")),
        sorted((f["constrained_columns"], f["referred_table"]) for f in inspector.get_foreign_keys("line")),
        sorted(str(u["column_names"]) for u in inspector.get_unique_constraints("product")),
        inspector.has_table("event"),
        inspector.has_table("no_such_table"),
        sorted(inspector.get_view_names()),
    ]


def check_reflected_table(target: Target) -> Any:
    """reflection: a table made from what the server says."""
    table = sa.Table("customer", sa.MetaData(), autoload_with=SHOP.engine)
    with SHOP.engine.connect() as connection:
        rows = connection.execute(select(table.c.name).order_by(table.c.name))
        return [(c.name, str(c.type), c.nullable) for c in table.columns], canonical.rows(rows)


def check_autogenerate(target: Target) -> Any:
    """autogenerate: what the model and the tables differ in."""
    with SHOP.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        found = autogenerate.compare_metadata(context, Base.metadata)
        return sorted(str(one[0]) if isinstance(one, tuple) else str(one[0][0]) for one in found)


# ---- writing ----------------------------------------------------------------------------


def check_add(target: Target) -> Any:
    """unit of work: objects with relations are written in the order of their keys."""
    before = len(SHOP.sent)
    with session() as s:
        ann = Customer(name="Ann", status=Status.GOOD, profile={"langs": ["de", "ü😀"], "n": 1.5, "none": None})
        root = Category(name="root", children=[Category(name="b"), Category(name="a")])
        pen = Product(
            sku="pen", weight=0.25, picture=bytes(range(256)), category=root.children[0], tags={Tag(word="red")}
        )
        ann.orders.append(
            Order(placed=WHEN, note="n" * 3000, total=Decimal("12.30"),
                  lines=[Line(number=1, product=pen, quantity=2, price=Decimal("6.1500"))])
        )  # fmt: skip
        s.add_all([ann, root])
        s.commit()
        return SHOP.sent[before:], ann.id is not None, ann.version, ann.points


def check_types(target: Target) -> Any:
    """types: enum, JSON, Decimal, datetime, float, bytes, bool come back as they were."""
    with session() as s:
        ann = s.scalars(select(Customer).filter_by(name="Ann")).one()
        order = ann.orders[0]
        pen = order.lines[0].product
        assert (ann.status, ann.profile) == (Status.GOOD, {"langs": ["de", "ü😀"], "n": 1.5, "none": None})
        assert (order.placed, order.total) == (WHEN, Decimal("12.30"))
        assert (pen.weight, pen.picture, pen.available) == (0.25, bytes(range(256)), True)
        return type(ann.created).__name__, repr(ann.profile), str(order.total)


def check_server_defaults(target: Target) -> Any:
    """server defaults: fetched after the flush."""
    with session() as s:
        bob = Customer(name="Bob")
        s.add(bob)
        s.flush()
        seen = bob.points, bob.created is not None, bob.status.name
        s.commit()
        return seen


def check_identity_map(target: Target) -> Any:
    """identity map: one row, one object."""
    with session() as s:
        one = s.scalars(select(Customer).where(Customer.name == "Ann")).one()
        before = len(SHOP.sent)
        two = s.get(Customer, one.id)
        return one is two, len(SHOP.sent) - before, one in s, len(s.identity_map)


def check_get_missing(target: Target) -> Any:
    """get of what is not there."""
    with session() as s:
        return s.get(Customer, 10**9)


def check_dirty(target: Target) -> Any:
    """changes: only what has changed is written."""
    with session() as s:
        bob = s.scalars(select(Customer).filter_by(name="Bob")).one()
        bob.points += 10
        seen = s.is_modified(bob), len(s.dirty)
        before = len(SHOP.sent)
        s.commit()
        return seen, SHOP.sent[before:], bob.points, bob.version


def check_sql_expression(target: Target) -> Any:
    """changes: an expression that the server computes."""
    with session() as s:
        bob = s.scalars(select(Customer).filter_by(name="Bob")).one()
        bob.points = Customer.points + 1
        s.commit()
        return bob.points


def check_rollback(target: Target) -> Any:
    """rollback: objects are as before."""
    with session() as s:
        bob = s.scalars(select(Customer).filter_by(name="Bob")).one()
        bob.name = "Robert"
        s.flush()
        s.rollback()
        return bob.name


def check_version_counter(target: Target) -> Any:
    """version counter: the second of two writers is refused."""
    with session() as one, session() as two:
        first = one.scalars(select(Customer).filter_by(name="Bob")).one()
        second = two.scalars(select(Customer).filter_by(name="Bob")).one()
        first.nickname = "first"
        one.commit()
        second.nickname = "second"
        try:
            two.commit()
        except orm.exc.StaleDataError:
            two.rollback()
            return "stale", second.nickname, second.version - first.version
    raise AssertionError("both could write")


def check_unique(target: Target) -> Any:
    """errors: a duplicate key is an IntegrityError."""
    with session() as s:
        s.add(Customer(name="Ann"))
        try:
            s.commit()
        except exc.IntegrityError as error:
            s.rollback()
            return error.orig.args[0], s.scalar(select(sa.func.count()).select_from(Customer))
    raise AssertionError("a second Ann")


def check_foreign_key(target: Target) -> Any:
    """errors: a foreign key without its row is an IntegrityError."""
    with session() as s:
        s.add(Order(customer_id=10**9, placed=WHEN))
        try:
            s.commit()
        except exc.IntegrityError as error:
            return error.orig.args[0]
    raise AssertionError("an order of nobody")


def check_not_null(target: Target) -> Any:
    """errors: NULL where there must be a value."""
    with session() as s:
        s.add(Event(id=1, word=None, at=WHEN))
        try:
            s.commit()
        except exc.DBAPIError as error:
            return type(error).__name__, error.orig.args[0]
    raise AssertionError("NULL was taken")


def check_too_long(target: Target) -> Any:
    """errors: data too long is a DataError."""
    with session() as s:
        s.add(Tag(word="x" * 31))
        try:
            s.commit()
        except exc.DataError as error:
            return error.orig.args[0]
    raise AssertionError("it was taken")


def check_programming_error(target: Target) -> Any:
    """errors: a table that is not there is a ProgrammingError."""
    with SHOP.engine.connect() as connection:
        try:
            connection.execute(sa.text("select * from no_such_table"))
        except exc.ProgrammingError as error:
            return error.orig.args[0]
    raise AssertionError("there it is")


# ---- savepoints -------------------------------------------------------------------------


def check_begin_nested(target: Target) -> Any:
    """savepoints: begin_nested, rolled back and kept."""
    with session() as s:
        s.add(Tag(word="outer"))
        inner = s.begin_nested()
        s.add(Tag(word="lost"))
        s.flush()
        inner.rollback()
        with s.begin_nested():
            s.add(Tag(word="kept"))
        s.commit()
        return sorted(s.scalars(select(Tag.word)))


def check_nested_error(target: Target) -> Any:
    """savepoints: an error inside does not end the transaction."""
    with session() as s:
        s.add(Tag(word="before"))
        s.flush()
        try:
            with s.begin_nested():
                s.add(Tag(word="outer"))
        except exc.IntegrityError:
            s.add(Tag(word="after"))
        s.commit()
        return sorted(s.scalars(select(Tag.word)))


def check_deep_nested(target: Target) -> Any:
    """savepoints: three deep."""
    with session() as s, s.begin():
        for depth in range(3):
            s.begin_nested()
            s.add(Event(id=50 + depth, word=f"deep {depth}", at=WHEN))
            s.flush()
        s.get_nested_transaction().rollback()
        s.get_nested_transaction().commit()
    with session() as s:
        return sorted(s.scalars(select(Event.word).where(Event.id.between(50, 52))))


# ---- loading ----------------------------------------------------------------------------


def _counted(s: Session, query: Any) -> Any:
    before = len(SHOP.sent)
    found = s.scalars(query).unique().all()
    shown = [(c.name, [(o.total, [line.quantity for line in o.lines]) for o in c.orders]) for c in found]
    return repr(shown), len(SHOP.sent) - before


def check_more_orders(target: Target) -> Any:
    """unit of work: forty orders with lines in one flush."""
    with session() as s:
        ann = s.scalars(select(Customer).filter_by(name="Ann")).one()
        pen = s.scalars(select(Product).filter_by(sku="pen")).one()
        for number in range(40):
            lines = [Line(number=n, product=pen, quantity=n + 1, price=Decimal("0.5")) for n in range(2)]
            ann.orders.append(Order(placed=WHEN + dt.timedelta(hours=number), total=Decimal(number), lines=lines))
        s.commit()
        return len(ann.orders), sum(order.total for order in ann.orders) == Decimal("792.30")


def check_lazy(target: Target) -> Any:
    """loading: lazy."""
    with session() as s:
        return _counted(s, select(Customer).order_by(Customer.name))


def check_joined(target: Target) -> Any:
    """loading: joined."""
    with session() as s:
        return _counted(s, select(Customer).options(joinedload(Customer.orders)).order_by(Customer.name))


def check_selectin(target: Target) -> Any:
    """loading: select in."""
    with session() as s:
        return _counted(s, select(Customer).options(selectinload(Customer.orders)).order_by(Customer.name))


def check_subquery(target: Target) -> Any:
    """loading: by a subquery."""
    with session() as s:
        return _counted(s, select(Customer).options(subqueryload(Customer.orders)).order_by(Customer.name))


def check_deferred(target: Target) -> Any:
    """loading: a deferred column."""
    with session() as s:
        order = s.scalars(select(Order).where(Order.note.is_not(None))).one()
        before = len(SHOP.sent)
        return len(order.note), len(SHOP.sent) - before


def check_refresh(target: Target) -> Any:
    """loading: expire and refresh see others' commits."""
    with session() as s, session() as other:
        bob = s.scalars(select(Customer).filter_by(name="Bob")).one()
        s.commit()
        other.execute(sa.update(Customer).where(Customer.name == "Bob").values(nickname="new"))
        other.commit()
        s.refresh(bob)
        return bob.nickname


def check_many_to_many(target: Target) -> Any:
    """many-to-many: added, removed, from both sides."""
    with session() as s:
        pen = s.scalars(select(Product).filter_by(sku="pen")).one()
        pen.tags |= set(s.scalars(select(Tag).where(Tag.word.in_(["outer", "kept"]))))
        s.commit()
        pen.tags -= {tag for tag in pen.tags if tag.word == "red"}
        s.commit()
        back = s.scalars(select(Tag).filter_by(word="kept")).one()
        return sorted(tag.word for tag in pen.tags), [p.sku for p in back.products]


def check_tree(target: Target) -> Any:
    """self-referential: children and parents."""
    with session() as s:
        root = s.scalars(select(Category).where(Category.parent_id.is_(None))).one()
        root.children[0].children.append(Category(name="deeper"))
        s.commit()
        deep = s.scalars(select(Category).filter_by(name="deeper")).one()
        return [c.name for c in root.children], deep.parent.name, deep.parent.parent.name


def check_recursive(target: Target) -> Any:
    """self-referential: a recursive query."""
    with session() as s:
        tree = select(Category.id, Category.name, sa.literal(0).label("depth")).where(Category.parent_id.is_(None))
        tree = tree.cte("tree", recursive=True)
        below = select(Category.id, Category.name, tree.c.depth + 1).join(tree, Category.parent_id == tree.c.id)
        tree = tree.union_all(below)
        return canonical.rows(s.execute(select(tree.c.name, tree.c.depth).order_by(tree.c.depth, tree.c.name)))


def check_inheritance(target: Target) -> Any:
    """inheritance: each row is of its class."""
    with session() as s:
        s.add_all([CardPayment(amount=Decimal("1.10"), card="visa"), CashPayment(amount=Decimal("2.20"), drawer=4)])
        s.commit()
        found = s.scalars(select(Payment).order_by(Payment.amount)).all()
        return [type(one).__name__ for one in found], s.scalars(select(CardPayment)).one().card


def check_cascade(target: Target) -> Any:
    """cascades: an order goes with its lines."""
    with session() as s:
        ann = s.scalars(select(Customer).filter_by(name="Ann")).one()
        del ann.orders[-1]
        s.commit()
        return len(ann.orders), s.scalar(select(sa.func.count()).select_from(Line))


# ---- queries ----------------------------------------------------------------------------


def check_aggregates(target: Target) -> Any:
    """queries: group by and having."""
    with session() as s:
        query = (
            select(Customer.name, sa.func.count(Order.id), sa.func.sum(Order.total))
            .outerjoin(Customer.orders).group_by(Customer.name).having(sa.func.count() > 0).order_by(Customer.name)
        )  # fmt: skip
        return canonical.rows(s.execute(query))


def check_exists(target: Target) -> Any:
    """queries: exists, any, in, between, like."""
    with session() as s:
        rich = select(Customer.name).where(Customer.orders.any(Order.total > 10))
        named = select(Customer.name).where(Customer.name.like("Old%"), Customer.points.between(1, 9)).order_by("name")
        return list(s.scalars(rich)), list(s.scalars(named)), s.scalar(select(sa.exists().where(Tag.word == "kept")))


def check_window(target: Target) -> Any:
    """queries: a window function."""
    with session() as s:
        rank = sa.func.row_number().over(order_by=Order.total.desc()).label("r")
        return canonical.rows(s.execute(select(Order.total, rank).order_by("r").limit(5)))


def check_json_path(target: Target) -> Any:
    """queries: into JSON."""
    with session() as s:
        found = s.scalars(select(Customer.name).where(Customer.profile["langs"][0].as_string() == "de"))
        return list(found)


def check_hybrid(target: Target) -> Any:
    """queries: a hybrid property."""
    with session() as s:
        return s.scalars(select(Customer.name).where(Customer.shout == "ANN")).all()


def check_limit(target: Target) -> Any:
    """queries: pages."""
    with session() as s:
        return canonical.rows(s.execute(select(Order.total).order_by(Order.total).offset(3).limit(4)))


def check_union(target: Target) -> Any:
    """queries: union and case."""
    with session() as s:
        kind = sa.case((Customer.status == Status.GOOD, "good"), else_="other")
        return canonical.rows(s.execute(sa.union(select(kind), select(sa.literal("more"))).order_by(sa.text("1"))))


def check_for_update(target: Target) -> Any:
    """queries: for update locks the row, others are told at once."""
    with session() as s, session() as other:
        s.scalars(select(Customer).filter_by(name="Bob").with_for_update()).one()
        try:
            other.scalars(select(Customer).filter_by(name="Bob").with_for_update(nowait=True)).one()
        except exc.DBAPIError as error:
            return error.orig.args[0]
    raise AssertionError("two locks")


def check_stream(target: Target) -> Any:
    """queries: a stream of rows in parts."""
    with session() as s:
        rows = s.execute(
            select(Line.order_id, Line.number).order_by(Line.order_id, Line.number).execution_options(yield_per=10)
        )
        return [len(part) for part in rows.partitions()]


def check_bulk_insert(target: Target) -> Any:
    """bulk: five hundred rows into partitions."""
    rows = [{"id": n, "word": f"w{n % 7}", "at": WHEN, "big": 2**64 - 1 - n} for n in range(1000, 1500)]
    with session() as s:
        s.execute(sa.insert(Event), rows)
        s.commit()
        return canonical.rows(s.execute(select(sa.func.count(), sa.func.max(Event.big)).where(Event.id >= 1000)))


def check_bulk_update(target: Target) -> Any:
    """bulk: update and delete by a condition."""
    with session() as s:
        done = s.execute(sa.update(Event).where(Event.word == "w3").values(word="changed"))
        gone = s.execute(sa.delete(Event).where(Event.word == "w5"))
        s.commit()
        return done.rowcount, gone.rowcount


def check_bulk_by_key(target: Target) -> Any:
    """bulk: rows updated by their keys."""
    with session() as s:
        s.execute(sa.update(Event), [{"id": 1000 + n, "word": f"by key {n}"} for n in range(20) if (1000 + n) % 7 != 5])
        s.commit()
        return s.scalar(select(sa.func.count()).where(Event.word.like("by key%")))


def check_upsert(target: Target) -> Any:
    """bulk: on duplicate key update."""
    with session() as s:
        statement = mysql_insert(Event).values(
            [{"id": 1000, "word": "up", "at": WHEN}, {"id": 3000, "word": "new", "at": WHEN}]
        )
        s.execute(statement.on_duplicate_key_update(word=statement.inserted.word))
        s.commit()
        return [s.get(Event, key).word for key in (1000, 3000)]


def check_points(target: Target) -> Any:
    """partitions: thirty rows by their keys."""
    with session() as s:
        return [s.get(Event, 1030 + number) is not None for number in range(30)]


def check_partition_range(target: Target) -> Any:
    """partitions: in one transaction, over all of them."""
    with session() as s:
        for event in s.scalars(select(Event).where(Event.id.between(1100, 1120)).order_by(Event.id)):
            event.word = f"t {event.id % 6}"
        s.commit()
        return canonical.rows(
            s.execute(
                select(Event.word, sa.func.count())
                .where(Event.word.like("t %"))
                .group_by(Event.word)
                .order_by(Event.word)
            )
        )


# ---- engines and pools ------------------------------------------------------------------


def check_pool(target: Target) -> Any:
    """pool: connections are kept, overflow, time-out."""
    shop = Shop(target, pool_size=2, max_overflow=1, pool_timeout=0.3)
    taken = [shop.engine.connect() for _ in range(3)]
    try:
        shop.engine.connect()
    except exc.TimeoutError:
        seen = ["time-out"]
    for connection in taken:
        connection.close()
    seen.append(shop.engine.pool.checkedin())
    shop.engine.dispose()
    return seen


def check_pre_ping(target: Target) -> Any:
    """pool: pre-ping replaces a lost connection."""
    shop = Shop(target, pool_pre_ping=True, pool_size=1)
    with shop.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        connection.execute(sa.text("select 1"))
    raw._sock.shutdown(socket.SHUT_RDWR)
    with shop.engine.connect() as connection:
        found = canonical.rows(connection.execute(sa.text("select 'alive'")))
    shop.engine.dispose()
    return found


def check_reset_on_return(target: Target) -> Any:
    """pool: what was not committed is rolled back on return."""
    with SHOP.engine.connect() as connection:
        connection.execute(sa.text("insert into tag (word) values ('forgotten')"))
    with SHOP.engine.connect() as connection:
        return canonical.rows(connection.execute(sa.text("select count(*) from tag where word = 'forgotten'")))


def check_isolation_levels(target: Target) -> Any:
    """isolation levels: of a connection and of an engine."""
    seen = [SHOP.engine.connect().get_isolation_level()]
    for level in ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT"):
        with SHOP.engine.connect().execution_options(isolation_level=level) as connection:
            seen.append(connection.get_isolation_level())
            seen.append(canonical.rows(connection.execute(sa.text("select @@tx_isolation, @@autocommit"))))
    return seen


def check_disconnect(target: Target) -> Any:
    """a disconnect is known as one and the pool is made anew."""
    shop = Shop(target, pool_size=1)
    with shop.engine.connect() as connection:
        connection.connection.dbapi_connection._sock.shutdown(socket.SHUT_RDWR)
        try:
            connection.execute(sa.text("select 1"))
        except exc.DBAPIError as error:
            seen: list[Any] = [error.connection_invalidated]
    with shop.engine.connect() as connection:
        seen.append(canonical.rows(connection.execute(sa.text("select 'alive'"))))
    shop.engine.dispose()
    return seen


def check_two_phase(target: Target) -> Any:
    """two-phase transactions."""
    with SHOP.engine.connect() as connection:
        transaction = connection.begin_twophase()
        connection.execute(sa.text("insert into tag (word) values ('two phases')"))
        transaction.prepare()
        transaction.commit()
    with SHOP.engine.connect() as connection:
        return canonical.rows(connection.execute(sa.text("select count(*) from tag where word = 'two phases'")))


def check_create_all(target: Target) -> Any:
    """create_all finds that nothing is missing."""
    Base.metadata.create_all(SHOP.engine)
    return sorted(sa.inspect(SHOP.engine).get_table_names())


def check_last_migration(target: Target) -> Any:
    """migrations: all the way down."""
    SHOP.engine.dispose()
    return SHOP.migrate("base", down=True)


def main() -> None:
    """Run everything; the lines are on standard output."""
    global SHOP
    host, port, user, password, database = sys.argv[1:6]
    target = Target(host, int(port), user, password, database)
    warnings.simplefilter("ignore")
    SHOP = Shop(target)
    for function in [value for name, value in globals().items() if name.startswith("check_")]:
        say(play_own(SQLAlchemy(), target, function.__doc__.splitlines()[0].rstrip("."), function))
    say({"end": True})


if __name__ == "__main__":
    main()
