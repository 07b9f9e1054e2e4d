with history as (

    select * from {{ ref('stg_lake__daily_history') }}

),

greeks as (

    select * from {{ ref('stg_lake__contract_greeks') }}

),

compared as (

    select
        *,
        lag(session_date) over contract_sessions as previous_session_date,
        open_interest_contracts
        - lag(open_interest_contracts) over contract_sessions as open_interest_change_contracts,
    from history
    window contract_sessions as (partition by underlying, symbol order by session_date)

),

final as (

    select
        -- keys
        concat_ws('|', compared.session_date, compared.symbol) as contract_daily_id,
        concat_ws('|', compared.underlying, compared.session_date) as session_id,
        compared.underlying,
        compared.session_date,
        compared.event_at,
        compared.symbol,

        -- contract
        compared.root,
        compared.expiry_date,
        compared.strike,
        compared."right",

        -- quotes
        compared.snapshots,
        compared.bid,
        compared.ask,
        compared.last_price,
        compared.volume_contracts,
        compared.open_interest_contracts,
        compared.previous_session_date,
        compared.open_interest_change_contracts,

        -- prices and vols
        compared.spot,
        compared.implied_vol,
        greeks.delta,
        greeks.gamma,
    from compared
    left join greeks
        on compared.underlying = greeks.underlying
        and compared.session_date = greeks.session_date
        and compared.event_at = greeks.event_at
        and compared.symbol = greeks.symbol

)

select * from final
