"""Money: transfers, accounts, and the gateway through which all of it reaches the bank."""
