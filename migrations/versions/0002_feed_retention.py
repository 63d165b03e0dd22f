"""The feed's retention: how far events were pruned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feed_retention",
        sa.Column("one_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("pruned_through", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("one_row", name=op.f("feed_retention_one_row_check")),
        sa.PrimaryKeyConstraint("one_row", name=op.f("feed_retention_pkey")),
    )


def downgrade() -> None:
    op.drop_table("feed_retention")
