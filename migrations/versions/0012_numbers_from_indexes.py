"""What `/metrics` tells of the queue and of owed webhooks is read from indexes alone.

The new index of waiting jobs holds what the old one did and serves the version before as well; the
old one goes with 0014.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_WAITING = sa.text("status = 'Submitted'")


def upgrade() -> None:
    op.create_index(
        "jobs_queue_idx",
        "jobs",
        ["id"],
        postgresql_where=_WAITING,
        postgresql_include=["solver", "version", "submitted_at"],
    )
    op.create_index(
        "webhook_deliveries_oldest_idx",
        "webhook_deliveries",
        ["created_at"],
        postgresql_where=sa.text("delivered_at IS NULL AND failed_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("webhook_deliveries_oldest_idx", "webhook_deliveries")
    op.drop_index("jobs_queue_idx", "jobs")
