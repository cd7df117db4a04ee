"""Course test sets: CSV files of transfers, failures and recoveries."""
