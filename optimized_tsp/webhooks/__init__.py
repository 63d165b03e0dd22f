"""Webhooks: where events are delivered to, and the outbox of deliveries."""
