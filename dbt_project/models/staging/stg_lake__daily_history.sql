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

        -- quotes
        snapshots,
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
    from source

)

select * from renamed
