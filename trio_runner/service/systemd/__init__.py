"""Living under systemd: telling it how we do, sockets from it, and the unit that has it start us."""
