"""The tables as they were at first."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "one"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "customer",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(80), nullable=False, unique=True),
        sa.Column("status", sa.Enum("NEW", "GOOD", "GONE", name="status"), nullable=False),
        sa.Column("profile", sa.JSON),
        sa.Column("points", sa.Integer, nullable=False, server_default="5"),
        sa.Column("created", sa.DateTime, nullable=False, server_default=sa.func.now()),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "category",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("parent_id", sa.Integer, sa.ForeignKey("category.id")),
    )
    op.create_table(
        "product",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sku", sa.String(20), nullable=False, unique=True),
        sa.Column("weight", sa.Double),
        sa.Column("picture", sa.LargeBinary),
        sa.Column("available", sa.Boolean, nullable=False),
        sa.Column("category_id", sa.Integer, sa.ForeignKey("category.id")),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customer.id"), nullable=False, index=True),
        sa.Column("placed", mysql.DATETIME(fsp=6), nullable=False),
        sa.Column("total", sa.Numeric(12, 2), nullable=False),
        sa.Column("remark", sa.Text),
    )
    op.create_table(
        "line",
        sa.Column("order_id", sa.Integer, sa.ForeignKey("orders.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("product_id", sa.Integer, sa.ForeignKey("product.id"), nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("price", sa.Numeric(12, 4), nullable=False),
    )


def downgrade() -> None:
    for name in ("line", "orders", "product", "category", "customer"):
        op.drop_table(name)
