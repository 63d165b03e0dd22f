"""The event log (Postgres, the truth) and the bus (Redis, the doorbell)."""
