"""What the checks share: the containers, and the service called with a key of its own."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.compose_check.service import Service
from deploy.compose_check.stack import Container, Stack, require

__all__ = ["Trial"]


@dataclass
class Trial:
    """One run of all checks."""

    stack: Stack
    key: str = ""

    @property
    def stranger(self) -> Service:
        """The service, called without a key."""
        return Service(f"http://127.0.0.1:{self.stack.port}")

    @property
    def service(self) -> Service:
        """The service, called with a key."""
        return Service(self.stranger.url, self.key)

    def create_key(self, name: str) -> str:
        """A new key, made as docs/containers.md says."""
        created = self.stack.compose("exec", "-T", "api", "optimized-tsp", "keys", "create", name)
        return created.strip()

    def worker_of(self, task_id: str) -> Container:
        """The container whose worker runs this job now."""
        query = "SELECT leased_by FROM jobs WHERE id = :'task_id' AND status = 'Running'"
        host = self.stack.sql(query, task_id=task_id).partition(":")[0]
        found = [one for one in self.stack.containers("worker") if host and host in one.id[:12]]
        require(len(found) == 1, f"no container runs the job {task_id} (leased by {host!r})")
        return found[0]

    def bring_back(self) -> float:
        """Start what was stopped, as an operator would; seconds until all of it is healthy."""
        self.stack.compose("up", "--detach")
        return self.stack.wait_settled()
