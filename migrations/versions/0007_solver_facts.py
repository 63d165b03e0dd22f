"""What a solver did, as columns where people filter by it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COLUMNS = {
    "engine": sa.Text,
    "proven_by": sa.Text,
    "root_bound": sa.BigInteger,
    "nodes": sa.BigInteger,
    "cp_sat_s": sa.Double,
}


def upgrade() -> None:
    for name, kind in _COLUMNS.items():
        op.add_column("solutions", sa.Column(name, kind(), nullable=True))


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column("solutions", name)
