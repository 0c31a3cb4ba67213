"""The verbs of the command line, one file each: read, call one part of the package, write, say where."""
