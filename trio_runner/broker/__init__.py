"""The broker: matches task requests with runners' offers and relays what they say to each other."""
