"""The first tables: instances, jobs, solutions, incumbents, events, keys, webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("feed_positions")))
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pkey")),
        sa.UniqueConstraint("prefix", name=op.f("api_keys_prefix_key")),
    )
    op.create_table(
        "events",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("solver", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "seq", name=op.f("events_pkey")),
    )
    op.create_index("events_position_idx", "events", ["position"], unique=True)
    op.create_index(
        "events_unsequenced_idx",
        "events",
        ["id"],
        unique=False,
        postgresql_where=sa.text("position IS NULL"),
    )
    op.create_table(
        "instances",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("solver", sa.Text(), nullable=False),
        sa.Column("num_nodes", sa.Integer(), nullable=False),
        sa.Column("num_edges", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("instances_pkey")),
    )
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("event_types", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("solver", sa.Text(), nullable=True),
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_endpoints_pkey")),
    )
    op.create_index(
        "webhook_endpoints_tenant_id_idx", "webhook_endpoints", ["tenant_id"], unique=False
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("solver", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("solution_status", sa.Text(), nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("timeout_s", sa.Double(), nullable=False),
        sa.Column("instance_digest", sa.LargeBinary(), nullable=False),
        sa.Column(
            "submitted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_time_s", sa.Double(), server_default="0", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("crashes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("leased_by", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'Running') = (lease_until IS NOT NULL)",
            name=op.f("jobs_lease_while_running_check"),
        ),
        sa.CheckConstraint(
            "(status IN ('Completed', 'Failed', 'Cancelled')) = (completed_at IS NOT NULL)",
            name=op.f("jobs_completed_at_when_terminal_check"),
        ),
        sa.CheckConstraint(
            "solution_status IN ('optimal', 'feasible', 'infeasible', 'unknown')",
            name=op.f("jobs_solution_status_check"),
        ),
        sa.CheckConstraint(
            "status IN ('Submitted', 'Running', 'Completed', 'Failed', 'Cancelled')",
            name=op.f("jobs_status_check"),
        ),
        sa.CheckConstraint(
            "stop_reason IN ('proven', 'gap_limit', 'time_limit', 'no_improvement', 'cancelled')",
            name=op.f("jobs_stop_reason_check"),
        ),
        sa.ForeignKeyConstraint(
            ["instance_digest"], ["instances.digest"], name=op.f("jobs_instance_digest_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
    )
    op.create_index("jobs_instance_digest_idx", "jobs", ["instance_digest"], unique=False)
    op.create_index(
        "jobs_leases_idx",
        "jobs",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("status = 'Running'"),
    )
    op.create_index(
        "jobs_newest_idx", "jobs", ["tenant_id", "solver", "version", "id"], unique=False
    )
    op.create_index(
        "jobs_waiting_idx",
        "jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status = 'Submitted'"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "next_attempt_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoints.id"],
            name=op.f("webhook_deliveries_endpoint_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_deliveries_pkey")),
    )
    op.create_index(
        "webhook_deliveries_due_idx",
        "webhook_deliveries",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("delivered_at IS NULL AND failed_at IS NULL"),
    )
    op.create_index(
        "webhook_deliveries_endpoint_id_idx",
        "webhook_deliveries",
        ["endpoint_id", "id"],
        unique=False,
    )
    op.create_table(
        "incumbents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("elapsed_s", sa.Double(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("lower_bound", sa.BigInteger(), nullable=True),
        sa.Column("gap", sa.Double(), nullable=True),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("incumbents_job_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("incumbents_pkey")),
    )
    op.create_index("incumbents_job_id_idx", "incumbents", ["job_id", "id"], unique=False)
    op.create_table(
        "solutions",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("lower_bound", sa.BigInteger(), nullable=True),
        sa.Column("gap", sa.Double(), nullable=True),
        sa.Column("first_gap", sa.Double(), nullable=True),
        sa.Column("node_order", sa.ARRAY(sa.Integer()), nullable=True),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("infeasibility", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("statistics", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("wall_time_s", sa.Double(), nullable=True),
        sa.Column("time_to_first_s", sa.Double(), nullable=True),
        sa.Column("time_to_best_s", sa.Double(), nullable=True),
        sa.Column("final", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("solutions_job_id_fkey")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("solutions_pkey")),
    )


def downgrade() -> None:
    op.drop_table("solutions")
    op.drop_table("incumbents")
    op.drop_table("webhook_deliveries")
    op.drop_table("jobs")
    op.drop_table("webhook_endpoints")
    op.drop_table("instances")
    op.drop_table("events")
    op.drop_table("api_keys")
    op.execute(sa.schema.DropSequence(sa.Sequence("feed_positions")))
