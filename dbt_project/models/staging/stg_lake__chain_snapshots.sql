with source as (

    select * from {{ source('lake', 'chain_snapshots') }}

),

renamed as (

    select
        -- identity
        underlying,
        symbol,
        root,
        provider,

        -- contract
        expiry_date,
        expires_at,
        strike,
        "right",
        exercise,
        settlement,
        multiplier,

        -- quotes
        bid,
        ask,
        bid_size_contracts,
        ask_size_contracts,
        last_price,
        volume_contracts,
        open_interest_contracts,

        -- underlying price
        spot,
        spot_source,
        venue_forward,

        -- completeness
        is_partial,

        -- as printed by the vendor
        vendor_implied_vol,
        vendor_delta,
        vendor_gamma,

        -- dates and instants
        session_date,
        event_at,
        known_at,
        last_trade_at,
    from source

)

select * from renamed
