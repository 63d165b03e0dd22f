"""The whole service on one machine: Postgres and Valkey from wheels, under one supervisor."""
