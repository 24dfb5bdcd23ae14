"""More tables, one of them in partitions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "four"
down_revision = "three"


def upgrade() -> None:
    op.create_table(
        "tag", sa.Column("id", sa.Integer, primary_key=True), sa.Column("word", sa.String(30), nullable=False)
    )
    op.create_unique_constraint("uq_tag_word", "tag", ["word"])
    op.create_table(
        "product_tag",
        sa.Column("product_id", sa.Integer, sa.ForeignKey("product.id"), primary_key=True),
        sa.Column("tag_id", sa.Integer, sa.ForeignKey("tag.id"), primary_key=True),
    )
    op.create_table(
        "payment",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("amount", sa.Numeric(10, 2), nullable=False),
        sa.Column("card", sa.String(30)),
        sa.Column("drawer", sa.Integer),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("word", sa.String(60), nullable=False),
        sa.Column("at", mysql.DATETIME(fsp=6), nullable=False),
        sa.Column("big", mysql.BIGINT(unsigned=True)),
        mysql_partition_by="HASH(id)",
        mysql_partitions="6",
    )
    tag = op.get_bind()
    tag.execute(sa.text("insert into tag (id, word) values (1, 'first')"))


def downgrade() -> None:
    for name in ("event", "payment", "product_tag", "tag"):
        op.drop_table(name)
