"""Builds and starts docker-compose.yaml for real and tries everything that it promises.

`python3 -m deploy.compose_check` needs Docker with Compose and Python's standard library, nothing
else. It works under a project name, a volume and ports of its own, beside an installation that
runs, and removes all of it at the end (the images and the build cache stay).
"""
