"""The `wxrc` command; `python -m wxrc_service` is the same."""

import sys


def main() -> None:
    """Run the command, or say what has to be installed for it."""
    try:
        from wxrc_service.cli import main as command
    except ModuleNotFoundError as error:
        sys.exit(
            f"Error: the wxrc command needs the module '{error.name}'; install it with: pip install 'wxrc[service]'"
        )
    command(prog_name="wxrc")


if __name__ == "__main__":
    main()
