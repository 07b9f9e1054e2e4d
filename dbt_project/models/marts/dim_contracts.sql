-- The daily history names the contracts (one row a session); the chain adds what it alone knows.
with history as (

    select * from {{ ref('stg_lake__daily_history') }}

),

chains as (

    select * from {{ ref('stg_lake__chain_snapshots') }}

),

contracts as (

    select
        underlying,
        symbol,
        min(session_date) as first_session_date,
        max(session_date) as last_session_date,
        max(event_at) as last_seen_at,
    from history
    group by underlying, symbol

),

final as (

    select
        contracts.symbol,
        contracts.underlying,
        chains.root,
        chains.expiry_date,
        chains.expires_at,
        chains.strike,
        chains."right",
        chains.exercise,
        chains.settlement,
        chains.multiplier,
        contracts.first_session_date,
        contracts.last_session_date,
    from contracts
    left join chains
        on contracts.underlying = chains.underlying
        and contracts.last_session_date = chains.session_date
        and contracts.last_seen_at = chains.event_at
        and contracts.symbol = chains.symbol

)

select * from final
