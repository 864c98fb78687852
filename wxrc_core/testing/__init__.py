"""What others test their own stores and puppets with: contract suites, strategies, a given/when/then helper."""

import pytest

# A failing assert in a contract shows its values, as one in a test file does.
pytest.register_assert_rewrite(
    "wxrc_core.testing.store_contract", "wxrc_core.testing.puppet_contract", "wxrc_core.testing.puppet_checks"
)
