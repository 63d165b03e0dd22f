"""The HTTP application: its lifespan, error answers, health, and the server that runs it."""
