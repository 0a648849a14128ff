"""Opinions kept: tables, moves between states, search; SQLite by default, PostgreSQL by setting."""
