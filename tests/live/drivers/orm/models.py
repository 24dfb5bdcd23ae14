"""The model: one-to-many, many-to-many, self-referential, inheritance, a partitioned table."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, deferred, mapped_column, relationship


class Base(DeclarativeBase):
    """What all tables are made from."""


class Status(enum.Enum):
    """A customer's standing."""

    NEW = "new"
    GOOD = "good"
    GONE = "gone"


product_tag = sa.Table(
    "product_tag",
    Base.metadata,
    sa.Column("product_id", sa.ForeignKey("product.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tag.id"), primary_key=True),
)


class Customer(Base):
    """Has orders; counts its versions."""

    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80), unique=True)
    status: Mapped[Status] = mapped_column(sa.Enum(Status), default=Status.NEW)
    profile: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    points: Mapped[int] = mapped_column(server_default="5")
    created: Mapped[dt.datetime] = mapped_column(server_default=sa.func.now())
    nickname: Mapped[str | None] = mapped_column(sa.String(40))
    version: Mapped[int] = mapped_column(nullable=False)
    orders: Mapped[list[Order]] = relationship(
        back_populates="customer", cascade="all, delete-orphan", order_by="Order.id"
    )
    __mapper_args__ = {"version_id_col": version}

    @hybrid_property
    def shout(self) -> str:
        """The name in capitals, here or in SQL."""
        return self.name.upper()

    @shout.inplace.expression
    @classmethod
    def _shout(cls) -> Any:
        return sa.func.upper(cls.name)


class Order(Base):
    """Belongs to a customer, has lines."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), index=True)
    placed: Mapped[dt.datetime] = mapped_column(mysql.DATETIME(fsp=6))
    total: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2), default=Decimal(0))
    note: Mapped[str | None] = deferred(mapped_column(sa.Text))
    customer: Mapped[Customer] = relationship(back_populates="orders")
    lines: Mapped[list[Line]] = relationship(cascade="all, delete-orphan", order_by="Line.number", lazy="selectin")


class Line(Base):
    """One line of an order: a key of two columns."""

    __tablename__ = "line"
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    product_id: Mapped[int] = mapped_column(sa.ForeignKey("product.id"))
    quantity: Mapped[int]
    price: Mapped[Decimal] = mapped_column(sa.Numeric(12, 4))
    product: Mapped[Product] = relationship(lazy="joined")


class Product(Base):
    """Has tags, a category and a picture."""

    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(sa.String(20), unique=True)
    weight: Mapped[float | None] = mapped_column(sa.Double)
    picture: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    available: Mapped[bool] = mapped_column(default=True)
    category_id: Mapped[int | None] = mapped_column(sa.ForeignKey("category.id"))
    category: Mapped[Category | None] = relationship()
    tags: Mapped[set[Tag]] = relationship(secondary=product_tag, back_populates="products")


class Tag(Base):
    """Is on many products."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(sa.String(30), unique=True)
    products: Mapped[set[Product]] = relationship(secondary=product_tag, back_populates="tags")


class Category(Base):
    """A tree."""

    __tablename__ = "category"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("category.id"))
    parent: Mapped[Category | None] = relationship(remote_side=[id], back_populates="children")
    children: Mapped[list[Category]] = relationship(back_populates="parent", order_by="Category.name")


class Payment(Base):
    """Of several kinds, in one table."""

    __tablename__ = "payment"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(10))
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2))
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "any"}


class CardPayment(Payment):
    """By card."""

    card: Mapped[str | None] = mapped_column(sa.String(30))
    __mapper_args__ = {"polymorphic_identity": "card"}


class CashPayment(Payment):
    """In cash."""

    drawer: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "cash"}


class Event(Base):
    """Lies in six partitions."""

    __tablename__ = "event"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    word: Mapped[str] = mapped_column(sa.String(60))
    at: Mapped[dt.datetime] = mapped_column(mysql.DATETIME(fsp=6))
    big: Mapped[int | None] = mapped_column(mysql.BIGINT(unsigned=True))
    __table_args__ = {"mysql_partition_by": "HASH(id)", "mysql_partitions": "6"}
