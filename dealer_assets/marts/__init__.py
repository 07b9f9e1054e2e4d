"""The reporting marts: the dbt project as Dagster assets, in a code location of its own."""
