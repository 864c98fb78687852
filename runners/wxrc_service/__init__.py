"""The Starlette service and the `wxrc` command."""
