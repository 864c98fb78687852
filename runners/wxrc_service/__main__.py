"""`python -m wxrc_service` is the `wxrc` command."""

from wxrc_service.cli import main

main()
