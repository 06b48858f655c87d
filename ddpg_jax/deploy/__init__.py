"""What was trained, used: policies as functions, evaluation, and export to other runtimes."""
