"""`jobs_waiting_idx` goes: `jobs_queue_idx` (0012) serves the version before as well.

By itself: dropping an index locks out readers, too, and must not wait while it holds other locks.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("jobs_waiting_idx", "jobs", if_exists=True)  # 0012 did this, for a while


def downgrade() -> None:
    op.create_index(
        "jobs_waiting_idx", "jobs", ["id"], postgresql_where=sa.text("status = 'Submitted'")
    )
