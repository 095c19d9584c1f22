"""What tries the servers with input that nobody wrote by hand."""
