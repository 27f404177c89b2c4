"""The command ``trio-runner check``: tries everything a runner needs, step by step, and says what to do."""
