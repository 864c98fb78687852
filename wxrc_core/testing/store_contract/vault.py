"""The contract of vaults."""

import anyio
import pytest

from wxrc_core.testing.store_contract._words import Contract, OpenVault


class VaultContract(Contract):
    """What every vault does. Override the fixture `open_vault`."""

    @pytest.fixture
    def open_vault(self) -> OpenVault:
        """Return what opens the vault of a name, as an async context manager."""
        raise NotImplementedError("a subclass of VaultContract overrides the fixture open_vault")

    async def test_put_get_delete(self, open_vault: OpenVault) -> None:
        """A secret is kept until it is replaced or deleted."""
        async with open_vault("vault") as vault:
            before = await vault.get("key")
            await vault.put("key", b"one")
            await vault.put("other", b"\x00\xff")
            first = await vault.get("key")
            await vault.put("key", b"")
            second = await vault.get("key")
            await vault.delete("key")
            after = await vault.get("key")
            other = await vault.get("other")

        assert (None, b"one", b"", None, b"\x00\xff") == (before, first, second, after, other)

    async def test_deleting_what_is_not_there(self, open_vault: OpenVault) -> None:
        """Deleting a name without a secret does nothing."""
        async with open_vault("vault") as vault:
            await vault.delete("key")

            assert await vault.get("key") is None

    async def test_opening_again(self, open_vault: OpenVault) -> None:
        """Secrets outlive closing."""
        async with open_vault("vault") as vault:
            await vault.put("会话/bot", b"session" * 1000)
        async with open_vault("vault") as vault:
            assert b"session" * 1000 == await vault.get("会话/bot")

    async def test_many_at_once(self, open_vault: OpenVault) -> None:
        """Secrets that are put at the same moment do not mix."""
        async with open_vault("vault") as vault:
            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(vault.put, f"name{number}", f"secret{number}".encode())
            found = [await vault.get(f"name{number}") for number in range(30)]

        assert [f"secret{number}".encode() for number in range(30)] == found

    async def test_names(self, open_vault: OpenVault) -> None:
        """All names are given out, sorted, and nothing that the vault keeps for itself."""
        async with open_vault("vault") as vault:
            before = await vault.names()
            for name in ("b", "a/1", "会话/bot", "gone"):
                await vault.put(name, b"x")
            await vault.delete("gone")
            names = await vault.names()

        assert [] == list(before)
        assert ["a/1", "b", "会话/bot"] == list(names)
