"""What can be solved here, with ready problems that are accepted as they are."""

from __future__ import annotations

import httpx

from optimized_tsp.solvers.registry import all_solvers


async def test_every_solver_is_listed_with_where_to_post(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/solvers")).json()
    paths = (await client.get("/openapi.json")).json()["paths"]

    assert {(solver["name"], solver["version"]) for solver in listed} == set(all_solvers())
    for solver in listed:
        assert "post" in paths[solver["jobs"]]
        assert "timeout" in solver["parameters_schema"]["properties"]


async def test_every_example_is_accepted_as_it_is(client: httpx.AsyncClient) -> None:
    for solver in (await client.get("/solvers")).json():
        examples = (await client.get(solver["examples"])).json()
        assert examples, solver["name"]
        for example in examples:
            posted = await client.post(solver["jobs"], json=example["submission"])
            assert posted.status_code == 202, posted.text
            assert example["attribution"]


async def test_what_was_submitted_is_given_back(client: httpx.AsyncClient) -> None:
    (solver,) = [
        solver for solver in (await client.get("/solvers")).json() if solver["name"] == "tsp"
    ][:1]
    submission = (await client.get(solver["examples"])).json()[0]["submission"]
    job = (await client.post(solver["jobs"], json=submission)).json()

    instance = await client.get(f"{solver['jobs']}/{job['task_id']}/instance")

    assert instance.json() == submission["tsp_instance"]
