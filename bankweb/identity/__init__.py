"""Who is asking, what they may do, and the log of what they changed."""
