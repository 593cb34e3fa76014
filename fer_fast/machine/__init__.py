"""What this machine is and has: its processors, cards and disks."""
