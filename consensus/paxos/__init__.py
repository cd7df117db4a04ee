"""Single-decree rules repeated over slots: acceptor, election, leader, log, catch-up, reads."""
