"""The production gateway in virtual time."""
