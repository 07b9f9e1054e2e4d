with source as (

    select * from {{ source('lake', 'live_flow') }}

),

renamed as (

    select
        -- identity
        underlying,
        stream_sequence,
        feed,

        -- bar
        "interval",
        "right",
        tenor,
        size_bucket,

        -- flow
        trades,
        volume_contracts,
        bought_contracts,
        sold_contracts,
        premium_usd,
        signed_premium_usd,
        hedge_flow_usd,
        absolute_hedge_flow_usd,
        gamma_flow_usd_per_pct,

        -- since the open
        cumulative_hedge_flow_usd,
        cumulative_absolute_hedge_flow_usd,

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
