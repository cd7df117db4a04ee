"""What people watch: the live stream and the pages that show it."""
