"""Webhooks: secrets of their own, what a delivery says, what sending it needs.

Nothing served webhooks before, so no row of these tables has to be kept as it was.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("webhook_endpoint_id", sa.Uuid(), nullable=True))
    _change_endpoints()
    _create_secrets()
    _change_deliveries()


def _change_endpoints() -> None:
    op.drop_column("webhook_endpoints", "secret")
    op.alter_column("webhook_endpoints", "event_types", nullable=False)
    true, zero = sa.text("true"), "0"
    for column in (
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("listed", sa.Boolean(), server_default=true, nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consecutive_failures", sa.Integer(), server_default=zero, nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("webhook_endpoints", column)
    op.drop_index("webhook_endpoints_tenant_id_idx", "webhook_endpoints")
    op.create_index("webhook_endpoints_tenant_id_idx", "webhook_endpoints", ["tenant_id", "id"])
    op.create_index(
        "webhook_endpoints_listed_idx",
        "webhook_endpoints",
        ["tenant_id"],
        postgresql_where=sa.text("listed AND disabled_at IS NULL"),
    )
    op.create_index(
        "webhook_endpoints_of_jobs_idx",
        "webhook_endpoints",
        ["tenant_id", "url"],
        unique=True,
        postgresql_where=sa.text("NOT listed AND deleted_at IS NULL"),
    )


def _create_secrets() -> None:
    op.create_table(
        "webhook_secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_secrets_pkey")),
    )
    op.create_index("webhook_secrets_owner_id_idx", "webhook_secrets", ["owner_id"])
    op.create_index(
        "webhook_secrets_current_idx",
        "webhook_secrets",
        ["owner_id"],
        unique=True,
        postgresql_where=sa.text("valid_until IS NULL"),
    )


def _change_deliveries() -> None:
    for column in ("job_id", "seq"):
        op.alter_column("webhook_deliveries", column, nullable=True)
    for added in (
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("lease_id", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_duration_s", sa.Double(), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
    ):
        op.add_column("webhook_deliveries", added)
    op.create_check_constraint(
        op.f("webhook_deliveries_one_end_check"),
        "webhook_deliveries",
        "delivered_at IS NULL OR failed_at IS NULL",
    )
    op.drop_index("webhook_deliveries_due_idx", "webhook_deliveries")
    op.create_index(
        "webhook_deliveries_pending_idx",
        "webhook_deliveries",
        ["endpoint_id", "next_attempt_at"],
        postgresql_where=sa.text("delivered_at IS NULL AND failed_at IS NULL"),
    )
    op.create_index(
        "webhook_deliveries_leased_idx",
        "webhook_deliveries",
        ["endpoint_id"],
        postgresql_where=sa.text("lease_id IS NOT NULL"),
    )
    op.create_index(
        "webhook_deliveries_delivered_idx",
        "webhook_deliveries",
        ["delivered_at"],
        postgresql_where=sa.text("delivered_at IS NOT NULL"),
    )
    op.create_index(
        "webhook_deliveries_failed_idx",
        "webhook_deliveries",
        ["endpoint_id", "failed_at"],
        postgresql_where=sa.text("failed_at IS NOT NULL"),
    )


def downgrade() -> None:
    # Without the columns the rows say nothing that could be sent.
    op.execute("DELETE FROM webhook_deliveries")
    op.execute("DELETE FROM webhook_endpoints")
    for index in ("failed", "delivered", "leased", "pending"):
        op.drop_index(f"webhook_deliveries_{index}_idx", "webhook_deliveries")
    op.create_index(
        "webhook_deliveries_due_idx",
        "webhook_deliveries",
        ["next_attempt_at"],
        postgresql_where=sa.text("delivered_at IS NULL AND failed_at IS NULL"),
    )
    op.drop_constraint(op.f("webhook_deliveries_one_end_check"), "webhook_deliveries")
    for column in (
        "last_status",
        "last_duration_s",
        "last_attempt_at",
        "lease_until",
        "lease_id",
        "created_at",
        "payload",
        "event_type",
    ):
        op.drop_column("webhook_deliveries", column)
    for column in ("job_id", "seq"):
        op.alter_column("webhook_deliveries", column, nullable=False)
    op.drop_table("webhook_secrets")
    op.drop_index("webhook_endpoints_of_jobs_idx", "webhook_endpoints")
    op.drop_index("webhook_endpoints_listed_idx", "webhook_endpoints")
    op.drop_index("webhook_endpoints_tenant_id_idx", "webhook_endpoints")
    op.create_index("webhook_endpoints_tenant_id_idx", "webhook_endpoints", ["tenant_id"])
    for column in (
        "paused_until",
        "failing_since",
        "consecutive_failures",
        "deleted_at",
        "disabled_reason",
        "version",
        "listed",
        "description",
    ):
        op.drop_column("webhook_endpoints", column)
    op.alter_column("webhook_endpoints", "event_types", nullable=True)
    op.add_column("webhook_endpoints", sa.Column("secret", sa.LargeBinary(), nullable=False))
    op.drop_column("jobs", "webhook_endpoint_id")
