"""A column renamed, one widened, an index."""

import sqlalchemy as sa
from alembic import op

revision = "three"
down_revision = "two"


def upgrade() -> None:
    op.alter_column("orders", "remark", new_column_name="note", existing_type=sa.Text)
    op.alter_column(
        "orders", "total", type_=sa.Numeric(14, 2), existing_type=sa.Numeric(12, 2), existing_nullable=False
    )
    op.create_index("ix_orders_placed", "orders", ["placed", "customer_id"])


def downgrade() -> None:
    op.drop_index("ix_orders_placed", "orders")
    op.alter_column("orders", "note", new_column_name="remark", existing_type=sa.Text)
