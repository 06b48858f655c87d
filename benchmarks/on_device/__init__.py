"""The stages of benchmarks/accelerator.py: each is a module with `run(rows, toy)`, in a process of its own."""
