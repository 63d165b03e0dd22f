"""Endpoints say when they are to be looked at, so that those that wait cost nothing.

What is owed already is not `seen`: the first looks take it up.

Runs while the version before still serves: it goes from endpoint to endpoint as it did.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "webhook_endpoints", sa.Column("next_look_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column(
        "webhook_deliveries",
        sa.Column("seen", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_index(
        "webhook_deliveries_unseen_idx",
        "webhook_deliveries",
        ["id"],
        postgresql_where=sa.text("NOT seen AND delivered_at IS NULL AND failed_at IS NULL"),
    )
    for name, failures in (("answering", "= 0"), ("failing", "> 0")):
        op.create_index(
            f"webhook_endpoints_{name}_idx",
            "webhook_endpoints",
            ["next_look_at"],
            postgresql_where=sa.text(f"consecutive_failures {failures}"),
        )


def downgrade() -> None:
    op.drop_index("webhook_deliveries_unseen_idx", "webhook_deliveries")
    op.drop_column("webhook_deliveries", "seen")
    op.drop_column("webhook_endpoints", "next_look_at")
