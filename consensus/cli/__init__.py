"""What the commands of manage.py share: arguments, private banks, output, the shell."""
