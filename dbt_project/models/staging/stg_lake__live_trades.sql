with source as (

    select * from {{ source('lake', 'live_trades') }}

),

renamed as (

    select
        -- identity
        underlying,
        stream_sequence,
        feed,
        symbol,
        root,

        -- contract
        expiry_date,
        expires_at,
        strike,
        "right",
        multiplier,

        -- print
        price_usd,
        size_contracts,
        exchange,
        conditions,
        venue_sequence,
        trade_number,
        trade_class,
        cancels_sequence,
        is_backfilled,

        -- market at that moment
        bid,
        ask,
        quote_age_seconds,
        quote_state,
        spot,
        spot_age_seconds,

        -- side
        side,
        side_basis,
        side_confidence,
        dealer_contracts,

        -- vol and Greeks
        implied_vol,
        vol_source,
        vol_age_seconds,
        delta,
        gamma,
        vanna,
        charm,

        -- flow
        premium_usd,
        hedge_flow_usd,
        gamma_flow_usd_per_pct,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source
    -- second by second, a year of it would make every build slow: the lake keeps the rest
    where session_date > (select max(session_date) from source) - {{ var('live_days') }}
    -- while a session is compacted its rows lie in two files, the same in both
    qualify
        row_number() over (
            partition by underlying, session_date, stream_sequence
            order by known_at
        ) = 1

)

select * from renamed
