"""Tags of jobs that were there before `job_tags`; from 0011 on a trigger adds those of new ones.

A transaction of its own, that locks no table: however many jobs there are, it holds up nobody.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_FILL = """
INSERT INTO job_tags (tenant_id, solver, version, key, value, submitted_at, job_id)
SELECT tenant_id, solver, version, tag.key, tag.value, submitted_at, id
FROM jobs, jsonb_each_text(tags) AS tag
WHERE tags <> '{}'
ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.execute(_FILL)


def downgrade() -> None:
    """The table goes with 0011."""
