"""An export of the log, as `wxrc export` and the admin API give it out."""

from collections.abc import AsyncGenerator
from importlib.metadata import version

from wxrc_gateway.export import export_log
from wxrc_gateway.gateway import wall_clock
from wxrc_service.layout import moment_text
from wxrc_store.port import Store, Vault


def exported(
    store: Store, vault: Vault, *, after: int = 0, passphrase: bytes | None = None
) -> AsyncGenerator[bytes, None]:
    """Give out the log in whole lines (see `export_log`), with this release and the time of day in the header."""
    return export_log(
        store,
        vault,
        time=moment_text(wall_clock()),
        release=version("wxrc"),
        after=after,
        passphrase=passphrase,
    )
