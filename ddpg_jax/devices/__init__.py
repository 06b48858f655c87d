"""Where programs run: seeds over devices, one agent on several devices, several processes."""
