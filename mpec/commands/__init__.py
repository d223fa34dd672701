"""One function per command of the command line; each returns its exit code."""
