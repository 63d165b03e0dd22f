"""The job: its states, its tables, how it is submitted, read, cancelled, leased and finished."""
