"""docker-compose.yaml and the Dockerfiles keep their promises; `make check-compose` tries them."""

from __future__ import annotations

import re
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from optimized_tsp.api.server import FILES_FOR_ALL_CLIENTS
from optimized_tsp.core.config import ENV_PREFIX, Settings

ROOT = Path(__file__).parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE_TEXT)["services"]
DOCKERFILES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("Dockerfile.backend", "Dockerfile.worker")
}
PYTHON_IMAGE = "python:3.12-slim-bookworm"
OURS = ("migrate", "api", "worker")

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
each_dockerfile = pytest.mark.parametrize("text", DOCKERFILES.values(), ids=DOCKERFILES)


def required_variables() -> set[str]:
    return set(re.findall(r"\$\{(\w+):\?", COMPOSE_TEXT))


def pins(lock: str) -> set[str]:
    """The lines `name==version ; marker` of a lock file."""
    lines = (ROOT / "requirements" / lock).read_text(encoding="utf-8").splitlines()
    return {line.rstrip(" \\") for line in lines if re.match(r"[a-z]", line)}


def stages(dockerfile: str) -> list[str]:
    return re.split(r"^(?=FROM )", dockerfile, flags=re.MULTILINE)[1:]


def test_the_images_are_the_ones_we_try() -> None:
    assert SERVICES["postgres"]["image"] == "postgres:17"
    assert SERVICES["redis"]["image"] == "redis:7"
    built = {name: SERVICES[name]["build"]["dockerfile"] for name in OURS}
    assert built == {
        "migrate": "Dockerfile.backend",
        "api": "Dockerfile.backend",
        "worker": "Dockerfile.worker",
    }
    # One name for two services would be built twice, and one of the two be left without a name.
    assert len({SERVICES[name]["image"] for name in OURS}) == 3


@each_service
def test_a_container_has_few_rights_and_limits(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert "max-size" in service["logging"]["options"]


def test_no_container_runs_as_root() -> None:
    users = {name: SERVICES[name].get("user") for name in SERVICES}
    # Our own images say it themselves, see below.
    assert users == {"postgres": "postgres", "redis": "redis"} | dict.fromkeys(OURS)


@each_service
def test_ports_are_on_loopback_only(service: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "network_mode" not in service


def test_everything_that_stays_is_restarted_and_watched() -> None:
    for name, service in SERVICES.items():
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    # While init.sql runs, the server listens on its socket only.
    check = SERVICES["postgres"]["healthcheck"]["test"]
    assert check[:4] == ["CMD", "pg_isready", "-h", "127.0.0.1"]
    assert SERVICES["migrate"]["healthcheck"] == {"disable": True}
    assert "test" in SERVICES["redis"]["healthcheck"]


def test_the_order_of_the_start() -> None:
    ready = {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["migrate"]["depends_on"] == ready
    after = ready | {
        "redis": {"condition": "service_healthy"},
        "migrate": {"condition": "service_completed_successfully"},
    }
    assert SERVICES["api"]["depends_on"] == SERVICES["worker"]["depends_on"] == after


def test_two_workers_with_time_to_give_their_jobs_back() -> None:
    worker = SERVICES["worker"]
    assert worker["deploy"]["replicas"] == 2
    assert "container_name" not in worker
    seconds = int(worker["stop_grace_period"].removesuffix("s"))
    assert seconds >= 10
    limit = worker["deploy"]["resources"]["limits"]["cpus"]
    assert limit == worker["environment"]["OPTIMIZED_TSP_SOLVER_THREADS"]


def test_beyond_loopback_keys_are_required_and_roles_are_small() -> None:
    assert SERVICES["api"]["environment"]["OPTIMIZED_TSP_AUTH"] == "required"
    roles = {
        name: re.match(
            r"postgresql://(\w+):", SERVICES[name]["environment"][f"{ENV_PREFIX}DATABASE_URL"]
        )
        for name in OURS
    }
    assert {name: role and role[1] for name, role in roles.items()} == {
        "migrate": "optimized_tsp_owner",
        "api": "optimized_tsp_app",
        "worker": "optimized_tsp_app",
    }


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    known = {f"{ENV_PREFIX}{field}".upper() for field in Settings.model_fields}
    assert set(SERVICES[name]["environment"]) <= known


def test_who_handles_webhooks_has_their_key_and_nobody_else() -> None:
    name = f"{ENV_PREFIX}WEBHOOK_KEY"
    having = {service for service in SERVICES if name in SERVICES[service].get("environment", {})}
    assert having == {"api", "worker"}
    # An .env made before there were webhooks still works: then there are none.
    assert Settings(webhook_key=SecretStr("")).webhook_key is None


def test_every_container_that_serves_clients_may_open_enough_files() -> None:
    files = SERVICES["api"]["ulimits"]["nofile"]
    assert files["soft"] == files["hard"] >= FILES_FOR_ALL_CLIENTS


def test_metrics_can_be_had_with_the_token_of_the_env_file() -> None:
    name = f"{ENV_PREFIX}METRICS_TOKEN"
    assert SERVICES["api"]["environment"][name] == f"${{{name}:-}}"
    having = {service for service in SERVICES if name in SERVICES[service].get("environment", {})}
    assert having == {"api"}


@pytest.mark.parametrize(
    ("service", "settings"),
    [
        ("api", {"log_level", "traces_endpoint", "allowed_hosts"}),
        (
            "worker",
            {"log_level", "traces_endpoint"}
            | {name for name in Settings.model_fields if name.startswith("keep_")},
        ),
    ],
)
def test_what_operators_set_is_passed_on_and_is_the_default_where_it_is_not_set(
    service: str, settings: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = SERVICES[service]["environment"]
    for setting in settings:
        name = f"{ENV_PREFIX}{setting.upper()}"
        assert given[name] == f"${{{name}:-}}"
        monkeypatch.setenv(name, "")  # as compose passes on what .env does not have
    assert Settings() == Settings.model_construct()


def test_init_sql_finds_its_file_and_its_passwords() -> None:
    postgres = SERVICES["postgres"]
    assert "./init.sql:/docker-entrypoint-initdb.d/init.sql:ro" in postgres["volumes"]
    script = (ROOT / "init.sql").read_text(encoding="utf-8")
    asked = set(re.findall(r"\\getenv \w+ (\w+)", script))
    assert asked
    assert asked <= set(postgres["environment"])


def test_no_password_is_in_the_file_or_on_a_command_line() -> None:
    passwords = re.findall(r"\$\{?\w*PASSWORD\w*[^}]*\}?", COMPOSE_TEXT)
    assert all(":?" in password for password in passwords)  # without one nothing starts
    for service in SERVICES.values():
        assert "${" not in str(service.get("command", ""))


def test_make_env_makes_every_password_and_keeps_an_existing_file(tmp_path: Path) -> None:
    file = tmp_path / "new.env"
    command = ["/bin/sh", str(ROOT / "deploy" / "make-env.sh"), str(file)]
    subprocess.run(command, check=True, capture_output=True)
    made = dict(re.findall(r"^(\w+)=(.+)$", file.read_text(), flags=re.MULTILINE))
    passwords = {name: made[name] for name in required_variables()}
    assert all(re.fullmatch(r"[0-9a-f]{48}", password) for password in passwords.values())
    assert len(set(passwords.values())) == len(passwords) == 5
    assert int(made["OPTIMIZED_TSP_SOLVER_THREADS"]) >= 1
    secrets = {made[f"OPTIMIZED_TSP_{name}"] for name in ("WEBHOOK_KEY", "METRICS_TOKEN")}
    Settings(
        webhook_key=SecretStr(made["OPTIMIZED_TSP_WEBHOOK_KEY"]),
        metrics_token=SecretStr(made["OPTIMIZED_TSP_METRICS_TOKEN"]),
    )
    assert len(secrets - set(passwords.values())) == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "stays" in again.stderr
    assert list(tmp_path.iterdir()) == [file]


def test_the_file_with_passwords_is_neither_committed_nor_sent_to_a_build() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"  # all but what is named
    assert not [line for line in ignored if line.startswith("!") and "env" in line]


@each_dockerfile
def test_an_image_has_two_stages_and_no_root(text: str) -> None:
    build, final = stages(text)
    assert build.startswith(f"FROM {PYTHON_IMAGE} AS build\n")
    assert final.startswith(f"FROM {PYTHON_IMAGE}\n")
    assert not re.search(r"^#\s*syntax", text, flags=re.IGNORECASE | re.MULTILINE)
    user = re.search(r"^USER (\d+):(\d+)$", final, flags=re.MULTILINE)
    assert user
    assert 0 not in map(int, user.groups())
    assert 'CMD ["python", ' in final[final.index("HEALTHCHECK") :]
    # What a build needs stays behind.
    assert re.findall(r"^COPY (.+)$", final, flags=re.MULTILINE) == [
        "--from=build /opt/optimized-tsp /opt/optimized-tsp"
    ]


def test_both_images_share_what_is_expensive() -> None:
    backend, worker = (stages(text)[0] for text in DOCKERFILES.values())
    assert backend == worker


@each_dockerfile
def test_every_package_is_installed_by_its_hash(text: str) -> None:
    installs = re.findall(
        r"pip (?:--python \S+ )?install(.+?)(?:&&|\n(?! ))", text, flags=re.DOTALL
    )
    assert len(installs) == 3
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)


@each_dockerfile
def test_what_a_build_copies_is_sent_to_it(text: str) -> None:
    sent = {
        line.removeprefix("!").rstrip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, flags=re.MULTILINE)
    assert {source for sources in copied for source in sources.split()} == sent
    assert all((ROOT / path).exists() for path in sent)


def test_the_service_is_locked_to_the_versions_that_are_tested() -> None:
    service, run = pins("service.lock"), pins("run.lock")
    assert service < run
    assert pins("build.lock") <= run
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    locked = {pin.partition("==")[0] for pin in service}
    direct = {re.match(r"[a-z0-9-]+", need)[0] for need in project["dependencies"]}  # type: ignore[index]
    embedded = {need.partition("==")[0] for need in project["optional-dependencies"]["embedded"]}
    assert direct <= locked
    assert not embedded & locked


def test_the_documentation_names_variables_that_exist() -> None:
    page = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")
    known = {f"{ENV_PREFIX}{field}".upper() for field in Settings.model_fields}
    known |= set(re.findall(r"OPTIMIZED_TSP_\w+", COMPOSE_TEXT))
    assert set(re.findall(r"OPTIMIZED_TSP_\w+", page)) <= known
    optional = set(re.findall(r"\$\{(\w+):-", COMPOSE_TEXT))
    assert optional <= set(re.findall(r"^\| `(\w+)`", page, flags=re.MULTILINE))
