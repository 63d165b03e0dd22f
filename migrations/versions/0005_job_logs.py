"""Logs of jobs, where a request came from, totals for metrics, and what retention needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_logs",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("elapsed_s", sa.Double(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("job_logs_job_id_fkey")),
        sa.PrimaryKeyConstraint("job_id", "line", name=op.f("job_logs_pkey")),
    )
    op.create_index("job_logs_at_idx", "job_logs", ["at"], postgresql_using="brin")
    op.create_table(
        "metric_totals",
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("metric", "labels", name=op.f("metric_totals_pkey")),
    )
    for name in ("log_lines", "log_bytes"):
        op.add_column("jobs", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "jobs",
        sa.Column("log_truncated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("jobs", sa.Column("request_id", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("traceparent", sa.Text(), nullable=True))
    op.add_column("solutions", sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "solutions_prunable_idx",
        "solutions",
        ["updated_at"],
        postgresql_where=sa.text("final AND pruned_at IS NULL"),
    )
    op.alter_column("instances", "payload", nullable=True)
    op.create_index(
        "instances_prunable_idx",
        "instances",
        ["created_at"],
        postgresql_where=sa.text("payload IS NOT NULL"),
    )


def downgrade() -> None:
    """Instances whose payload was pruned stay so; their jobs stay for reporting."""
    op.drop_index("instances_prunable_idx", "instances")
    op.execute("UPDATE instances SET payload = '' WHERE payload IS NULL")
    op.alter_column("instances", "payload", nullable=False)
    op.drop_index("solutions_prunable_idx", "solutions")
    op.drop_column("solutions", "pruned_at")
    for name in ("traceparent", "request_id", "log_truncated", "log_bytes", "log_lines"):
        op.drop_column("jobs", name)
    op.drop_table("metric_totals")
    op.drop_table("job_logs")
