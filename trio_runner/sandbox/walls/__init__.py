"""The walls between a task and the machine, one module for each kind; `raising` puts them up in order."""
