with source as (

    select * from {{ source('lake', 'daily_history') }}

),

renamed as (

    select
        -- identity
        underlying,
        symbol,
        root,

        -- contract
        expiry_date,
        expires_at,
        strike,
        "right",

        -- how whole the session is
        snapshots,
        session_snapshots,
        minutes_before_close,
        is_before_close,
        longest_gap_minutes,
        is_interrupted,

        -- quotes
        bid,
        ask,
        last_price,
        volume_contracts,
        open_interest_contracts,

        -- prices and vols
        spot,
        implied_vol,

        -- dates and instants
        session_date,
        event_at,
        known_at,
        last_poll_at,
    from source

)

select * from renamed
