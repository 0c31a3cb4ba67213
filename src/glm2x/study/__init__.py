"""What a whole study takes in windows, bytes and hours, before anything runs."""
