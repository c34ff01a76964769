"""Named models: their records, where their files come from, how they are built and saved."""
