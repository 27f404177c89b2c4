"""The scenarios, each a function that measures and adds what it finds to a report."""
