"""Pictures, records and the facts beside a number."""
