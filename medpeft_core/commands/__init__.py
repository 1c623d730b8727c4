"""The bodies of the command line's commands; cli/ names them and their options."""
