"""What retention forgets of webhooks is found by an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "webhook_deliveries_ended_idx",
        "webhook_deliveries",
        [sa.text("coalesce(delivered_at, failed_at)")],
    )
    op.drop_index("webhook_deliveries_delivered_idx", "webhook_deliveries")


def downgrade() -> None:
    op.create_index(
        "webhook_deliveries_delivered_idx",
        "webhook_deliveries",
        ["delivered_at"],
        postgresql_where=sa.text("delivered_at IS NOT NULL"),
    )
    op.drop_index("webhook_deliveries_ended_idx", "webhook_deliveries")
