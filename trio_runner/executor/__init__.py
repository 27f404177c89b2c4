"""Running tasks: worker processes forked from a zygote, or functions of the embedding application."""
