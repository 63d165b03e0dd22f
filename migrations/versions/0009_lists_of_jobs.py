"""Lists of jobs are read from an index whatever they are filtered by.

`jobs_newest_idx` stays for the version before this one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SCOPE = ("tenant_id", "solver", "version")


def upgrade() -> None:
    op.create_index("jobs_listed_idx", "jobs", [*_SCOPE, "submitted_at", "id"])
    op.create_index("jobs_by_status_idx", "jobs", [*_SCOPE, "status", "submitted_at", "id"])
    op.create_index(
        "jobs_by_name_idx",
        "jobs",
        [*_SCOPE, "name", "submitted_at", "id"],
        postgresql_where=sa.text("name IS NOT NULL"),
    )
    op.create_index(
        "jobs_by_tag_idx",
        "jobs",
        ["tags"],
        postgresql_using="gin",
        postgresql_ops={"tags": "jsonb_path_ops"},
        postgresql_where=sa.text("tags <> '{}'"),
        postgresql_with={"fastupdate": "off"},
    )


def downgrade() -> None:
    for name in ("jobs_by_tag_idx", "jobs_by_name_idx", "jobs_by_status_idx", "jobs_listed_idx"):
        op.drop_index(name, "jobs")
