"""What everything above stands on: settings, errors, the database, Redis, logging, ids."""
