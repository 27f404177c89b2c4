"""The broker: matches task requests with runners' offers and relays what belongs to a task."""
