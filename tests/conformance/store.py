"""What every store must keep: one function a promise.

For an engine of your own: import everything here into a test module beside a fixture ``opened_store`` that yields a
`tests.support.stores.OpenedStore`, opened with a reserve of 1,000 bytes. What a store's `caps` deny is skipped.
"""

from __future__ import annotations

from tests.conformance.store_claims import *  # noqa: F403 - re-exported
from tests.conformance.store_erasing import *  # noqa: F403 - re-exported
from tests.conformance.store_history import *  # noqa: F403 - re-exported
from tests.conformance.store_ledger import *  # noqa: F403 - re-exported
from tests.conformance.store_log import *  # noqa: F403 - re-exported
from tests.conformance.store_names import *  # noqa: F403 - re-exported
from tests.conformance.store_trim import *  # noqa: F403 - re-exported
from tests.conformance.store_turns import *  # noqa: F403 - re-exported
from tests.conformance.store_violations import *  # noqa: F403 - re-exported
