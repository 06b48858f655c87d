"""Many settings trained as one program, and what that leaves on disk."""
