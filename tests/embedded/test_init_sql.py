"""init.sql: the roles, for the embedded server and for the postgres container alike."""

from __future__ import annotations

import pytest

from optimized_tsp.embedded.errors import ProcessFailed
from optimized_tsp.embedded.servers import packaged
from tests.stack import Servers


def test_it_can_be_run_again(servers: Servers) -> None:
    before = servers.run_sql("SELECT oid, rolname, rolsuper FROM pg_roles ORDER BY oid")
    servers.create_roles()
    assert servers.run_sql("SELECT oid, rolname, rolsuper FROM pg_roles ORDER BY oid") == before


def test_it_refuses_to_make_roles_without_passwords(servers: Servers) -> None:
    with pytest.raises(ProcessFailed, match="set OPTIMIZED_TSP_OWNER_PASSWORD"):
        servers.run_sql(packaged("init.sql").read_text())


def test_no_role_of_ours_is_powerful(servers: Servers) -> None:
    powerful = servers.run_sql(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'optimized_tsp%' "
        "AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)"
    )
    assert powerful == ""


def test_strangers_may_not_connect(servers: Servers) -> None:
    allowed = servers.run_sql("SELECT datacl FROM pg_database WHERE datname = 'optimized_tsp'")
    assert "{=" not in allowed
    assert ",=" not in allowed
