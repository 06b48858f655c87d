"""Where programs run: seeds sharded over devices, data parallel agents, and runs of several processes."""
