"""Where programs run: seeds on several devices, one agent on several devices, and several processes."""
