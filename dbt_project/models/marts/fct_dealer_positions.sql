with rows_held as (

    select * from {{ ref('stg_lake__dealer_positions') }}

),

final as (

    select
        -- keys
        concat_ws('|', underlying, session_date, model, symbol) as dealer_position_id,
        concat_ws('|', underlying, session_date) as session_id,
        underlying,
        session_date,
        event_at,
        known_at,
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
        position_contracts / nullif(open_interest_contracts, 0) as open_interest_share,
    from rows_held

)

select * from final
