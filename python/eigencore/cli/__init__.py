"""The command line: each subcommand a thin caller of the library."""
