"""Using what was trained: policies as functions, their evaluation, and their export to other runtimes."""
