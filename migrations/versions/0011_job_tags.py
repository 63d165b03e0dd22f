"""The tags of jobs, each in the order in which its jobs were submitted, for lists.

Runs while the version before still serves: what that one inserts, a trigger adds as well. Tags of
jobs that are there already come with 0013, while nothing is locked. `jobs_by_tag_idx` stays for the
version before this one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_KEY = ("tenant_id", "solver", "version", "key", "value", "submitted_at", "job_id")
# The owner writes, whatever the role of who submits may do at this moment.
_FUNCTION = """
CREATE FUNCTION add_job_tags() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO job_tags (tenant_id, solver, version, key, value, submitted_at, job_id)
    SELECT NEW.tenant_id, NEW.solver, NEW.version, tag.key, tag.value, NEW.submitted_at, NEW.id
    FROM jsonb_each_text(NEW.tags) AS tag;
    RETURN NULL;
END $$
"""
_TRIGGER = """
CREATE TRIGGER jobs_add_tags AFTER INSERT ON jobs
FOR EACH ROW WHEN (NEW.tags <> '{}') EXECUTE FUNCTION add_job_tags()
"""


def upgrade() -> None:
    op.create_table(
        "job_tags",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("solver", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint(*_KEY, name=op.f("job_tags_pkey")),
    )
    op.execute(_FUNCTION)
    op.execute(_TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER jobs_add_tags ON jobs")
    op.execute("DROP FUNCTION add_job_tags")
    op.drop_table("job_tags")
