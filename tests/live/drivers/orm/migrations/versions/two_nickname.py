"""A column, filled from another one."""

import sqlalchemy as sa
from alembic import op

revision = "two"
down_revision = "one"


def upgrade() -> None:
    op.add_column("customer", sa.Column("nickname", sa.String(40)))
    customer = sa.table("customer", sa.column("name"), sa.column("nickname"))
    op.execute(customer.update().values(nickname=sa.func.substr(customer.c.name, 1, 3)))


def downgrade() -> None:
    op.drop_column("customer", "nickname")
