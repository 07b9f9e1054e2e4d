"""Root of the marts' code location: the dbt project alone.

Apart from the pipeline because importing dagster-dbt costs 1.6 s, which every minute run would pay.
"""

import dagster as dg

from dealer_assets.marts import dbt

defs = dg.Definitions.merge(dbt.defs(), dg.Definitions(executor=dg.in_process_executor))
