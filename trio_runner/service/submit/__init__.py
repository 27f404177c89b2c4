"""``trio-runner submit``: items in, one task or many, the result out."""
