"""The wire in (wire.md, sections 1 and 2)."""
