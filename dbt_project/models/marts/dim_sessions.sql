with chains as (

    select * from {{ ref('stg_lake__chain_snapshots') }}

),

sources as (

    select * from {{ ref('stg_lake__chain_sources') }}

),

snapshots as (

    select
        underlying,
        session_date,
        event_at,
        count(*) as contracts,
    from chains
    group by underlying, session_date, event_at

),

snapshot_sources as (

    select
        underlying,
        session_date,
        event_at,
        -- one whole source makes the snapshot whole, whatever the others lack
        bool_and(is_partial) as is_partial,
    from sources
    group by underlying, session_date, event_at

),

sessions as (

    select
        snapshots.underlying,
        snapshots.session_date,
        count(*) as snapshots,
        min(snapshots.event_at) as first_event_at,
        max(snapshots.event_at) as last_event_at,
        arg_max(snapshots.contracts, snapshots.event_at) as contracts,
        arg_max_null(snapshot_sources.is_partial, snapshots.event_at) as is_partial,
    from snapshots
    left join snapshot_sources
        on snapshots.underlying = snapshot_sources.underlying
        and snapshots.session_date = snapshot_sources.session_date
        and snapshots.event_at = snapshot_sources.event_at
    group by snapshots.underlying, snapshots.session_date

),

session_sources as (

    select
        underlying,
        session_date,
        list(distinct provider order by provider) as providers,
        list_sort(list_distinct(flatten(list(findings)))) as findings,
    from sources
    group by underlying, session_date

),

final as (

    select
        concat_ws('|', sessions.underlying, sessions.session_date) as session_id,
        sessions.underlying,
        sessions.session_date,
        sessions.snapshots,
        sessions.first_event_at,
        sessions.last_event_at,
        sessions.contracts,
        coalesce(session_sources.providers, []) as providers,
        sessions.is_partial,
        coalesce(session_sources.findings, []) as findings,
    from sessions
    left join session_sources
        on sessions.underlying = session_sources.underlying
        and sessions.session_date = session_sources.session_date

)

select * from final
