with source as (

    select * from {{ source('lake', 'dealer_positions') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,
        symbol,
        root,
        expiry_date,
        expires_at,
        strike,
        "right",

        -- estimate
        open_interest_contracts,
        open_interest_state,
        position_contracts,
        position_sd_contracts,
        position_lo_contracts,
        position_hi_contracts,

        -- evidence
        evidence_share,
        effective_contracts,
        sessions_of_flow,
        is_since_listing,
        kind,
        kind_share,
        kind_share_sd,
        kind_loading_contracts,
        filter_mean_contracts,
        filter_sd_contracts,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
