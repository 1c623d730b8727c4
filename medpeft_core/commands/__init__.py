"""The bodies of the command line's commands; cli.py names them and their options."""
