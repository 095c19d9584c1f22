"""Doubles, clients and servers that the tests share. Nothing here shares code with the service."""
